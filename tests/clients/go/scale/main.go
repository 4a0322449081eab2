package main

import (
    "context"
    "fmt"
    "log"
    
    "github.com/ao/hivemind/pkg/client"
)

func main() {
    // Create a new client
    c, err := client.NewClient("http://localhost:4483")
    if err != nil {
        log.Fatalf("Failed to create client: %v", err)
    }
    
    // Scale the application
    result, err := c.Scale(context.Background(), "web-server", 5)
    if err != nil {
        log.Fatalf("Scaling failed: %v", err)
    }
    
    fmt.Printf("Previous replicas: %d\n", result.PreviousReplicas)
    fmt.Printf("New replicas: %d\n", result.NewReplicas)
    fmt.Printf("Message: %s\n", result.Message)
}
