package types

import "time"

// UpdateResult answers an update of an app; the deployment DeploymentID does it.
type UpdateResult struct {
	Name         string   `json:"name"`
	DeploymentID string   `json:"deployment_id"`
	Message      string   `json:"message"`
	Warnings     []string `json:"warnings"`
}

// Revision is what an app was.
type Revision struct {
	Number      int            `json:"number"`
	Image       string         `json:"image"`
	ImageDigest string         `json:"image_digest"`
	CreatedAt   time.Time      `json:"created_at"`
	Reason      string         `json:"reason"`
	Current     bool           `json:"current"`
	Spec        map[string]any `json:"spec"`
}

// NewDeployment is the body of POST /deployments. What is left out stays as the app has it.
type NewDeployment struct {
	AppName            string            `json:"app_name"`
	Image              string            `json:"image,omitempty"`
	ImageDigest        string            `json:"image_digest,omitempty"`
	ImageArchitectures []string          `json:"image_architectures,omitempty"`
	ResolveImage       *bool             `json:"resolve_image,omitempty"`
	Replicas           *int              `json:"replicas,omitempty"`
	Strategy           map[string]any    `json:"strategy,omitempty"`
	Environment        map[string]string `json:"environment,omitempty"`
	Labels             map[string]string `json:"labels,omitempty"`
}

// DeploymentCreated answers the creation of a deployment.
type DeploymentCreated struct {
	ID       string   `json:"id"`
	AppName  string   `json:"app_name"`
	Message  string   `json:"message"`
	Warnings []string `json:"warnings"`
}

// DeploymentItem is a deployment in a list; Strategy is its name.
type DeploymentItem struct {
	ID          string     `json:"id"`
	AppName     string     `json:"app_name"`
	Namespace   string     `json:"namespace,omitempty"`
	Image       string     `json:"image"`
	ImageDigest string     `json:"image_digest"`
	Replicas    int        `json:"replicas"`
	Strategy    string     `json:"strategy"`
	Status      string     `json:"status"`
	Message     string     `json:"message"`
	CreatedAt   time.Time  `json:"created_at"`
	StartedAt   *time.Time `json:"started_at"`
	CompletedAt *time.Time `json:"completed_at"`
}

// DeploymentDetail is a deployment with all that it changes.
type DeploymentDetail struct {
	ID          string            `json:"id"`
	AppName     string            `json:"app_name"`
	Namespace   string            `json:"namespace,omitempty"`
	Image       string            `json:"image"`
	ImageDigest string            `json:"image_digest"`
	Replicas    int               `json:"replicas"`
	Strategy    map[string]any    `json:"strategy"`
	Environment map[string]string `json:"environment"`
	Labels      map[string]string `json:"labels"`
	Status      string            `json:"status"`
	Message     string            `json:"message"`
	CreatedAt   time.Time         `json:"created_at"`
	StartedAt   *time.Time        `json:"started_at"`
	CompletedAt *time.Time        `json:"completed_at"`
}

// DeploymentProgress says how far a deployment has come.
type DeploymentProgress struct {
	ID              string `json:"id"`
	Status          string `json:"status"`
	CurrentStep     int    `json:"current_step"`
	TotalSteps      int    `json:"total_steps"`
	CurrentReplicas int    `json:"current_replicas"`
	TargetReplicas  int    `json:"target_replicas"`
	Message         string `json:"message"`
}

// Setting is one of the whole cluster; without SetAt its value is the default.
type Setting struct {
	Key         string     `json:"key"`
	Value       any        `json:"value"`
	Default     any        `json:"default"`
	Expected    string     `json:"expected"`
	Description string     `json:"description"`
	SetAt       *time.Time `json:"set_at"`
}

// PriorityClass says who is placed first: the higher Value.
type PriorityClass struct {
	Name        string `json:"name"`
	Value       int    `json:"value"`
	Description string `json:"description,omitempty"`
	BuiltIn     bool   `json:"built_in,omitempty"`
}
