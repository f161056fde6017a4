"""The contract with the outside: JSON Schemas and the AsyncAPI document."""
