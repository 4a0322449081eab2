"""The nouns as the API shows them: frozen Structs made from the replicated state, a file per noun."""
