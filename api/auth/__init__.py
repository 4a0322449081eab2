"""Who is asking: JWT, HTTP Basic or an API key; and what their role lets them do."""
