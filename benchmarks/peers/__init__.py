"""The same job in other frameworks. None of them is a dependency of the product."""
