"""Who may do what: credentials, encryption, rights and secrets, against real servers."""
