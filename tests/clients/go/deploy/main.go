package main

import (
    "context"
    "fmt"
    "log"
    
    "github.com/ao/hivemind/pkg/client"
    "github.com/ao/hivemind/pkg/api/types"
)

func main() {
    // Create a new client
    c, err := client.NewClient("http://localhost:4483")
    if err != nil {
        log.Fatalf("Failed to create client: %v", err)
    }
    
    // Define deployment
    deployment := &types.Deployment{
        Image:    "nginx:latest",
        Name:     "web-server",
        Service:  "web.local",
        Replicas: 2,
        Resources: types.Resources{
            CPU:       0.5,
            Memory:    "256M",
            CPULimit:  1.0,
            MemLimit:  "512M",
        },
        Env: map[string]string{
            "ENV_VAR1": "value1",
            "ENV_VAR2": "value2",
        },
        Volumes: []types.Volume{
            {
                Name:      "data-volume",
                MountPath: "/data",
            },
        },
        Ports: []types.Port{
            {
                ContainerPort: 80,
                HostPort:      8080,
                Protocol:      "tcp",
            },
        },
        HealthCheck: &types.HealthCheck{
            Command:     "curl -f http://localhost/",
            Interval:    "30s",
            Timeout:     "5s",
            Retries:     3,
            StartPeriod: "60s",
        },
        NodeAffinity:    "role=frontend",
        ServiceAffinity: "app=api",
        PriorityClass:   "high-priority",
    }
    
    // Deploy the application
    result, err := c.Deploy(context.Background(), deployment)
    if err != nil {
        log.Fatalf("Deployment failed: %v", err)
    }
    
    fmt.Printf("App ID: %s\n", result.AppID)
    fmt.Printf("Container IDs: %v\n", result.ContainerIDs)
    fmt.Printf("Service ID: %s\n", result.ServiceID)
    fmt.Printf("Message: %s\n", result.Message)
}
