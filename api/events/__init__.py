"""What happens in the cluster, told to clients as it happens: WebSocket and Server-Sent Events."""
