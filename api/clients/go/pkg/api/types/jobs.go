package types

import "time"

// JobSpec is what a job shall be; without a Schedule it runs once, now.
type JobSpec struct {
	Name               string            `json:"name"`
	Namespace          string            `json:"namespace,omitempty"`
	Image              string            `json:"image"`
	ImageDigest        string            `json:"image_digest,omitempty"`
	ImageArchitectures []string          `json:"image_architectures,omitempty"`
	ResolveImage       *bool             `json:"resolve_image,omitempty"`
	Command            []string          `json:"command,omitempty"`
	Args               []string          `json:"args,omitempty"`
	Env                map[string]string `json:"env,omitempty"`
	Labels             map[string]string `json:"labels,omitempty"`
	Schedule           string            `json:"schedule,omitempty"`
	TimeZone           string            `json:"time_zone,omitempty"`
	ConcurrencyPolicy  string            `json:"concurrency_policy,omitempty"`
	StartingDeadline   string            `json:"starting_deadline,omitempty"`
	Suspended          bool              `json:"suspended,omitempty"`
	Completions        int               `json:"completions,omitempty"`
	Parallelism        int               `json:"parallelism,omitempty"`
	BackoffLimit       *int              `json:"backoff_limit,omitempty"`
	RetryDelay         string            `json:"retry_delay,omitempty"`
	Timeout            string            `json:"timeout,omitempty"`
	NodeAffinity       string            `json:"node_affinity,omitempty"`
	PriorityClass      string            `json:"priority_class,omitempty"`
	KeepLost           bool              `json:"keep_lost,omitempty"`
}

// JobAnswer answers what was done to a job; RunID is nil where no run began with it.
type JobAnswer struct {
	Name         string   `json:"name"`
	RunID        *string  `json:"run_id"`
	ContainerIDs []string `json:"container_ids"`
	Message      string   `json:"message"`
	Warnings     []string `json:"warnings"`
}

// Job is one job; Spec only comes with the details.
type Job struct {
	Name              string     `json:"name"`
	Namespace         string     `json:"namespace,omitempty"`
	Image             string     `json:"image"`
	ImageDigest       string     `json:"image_digest"`
	Schedule          *string    `json:"schedule"`
	TimeZone          string     `json:"time_zone"`
	ConcurrencyPolicy string     `json:"concurrency_policy"`
	Suspended         bool       `json:"suspended"`
	ActiveRuns        int        `json:"active_runs"`
	LastRunID         *string    `json:"last_run_id"`
	LastRunStatus     *string    `json:"last_run_status"`
	LastRunAt         *time.Time `json:"last_run_at"`
	NextRunAt         *time.Time `json:"next_run_at"`
	Skipped           string     `json:"skipped"`
	CreatedAt         time.Time  `json:"created_at"`
	UpdatedAt         time.Time  `json:"updated_at"`
	Spec              *JobSpec   `json:"spec"`
}

// Run is one run of a job: Succeeded of Completions are done, Failures attempts were in vain.
type Run struct {
	ID          string         `json:"id"`
	Job         string         `json:"job"`
	Number      int            `json:"number"`
	Reason      string         `json:"reason"`
	Status      string         `json:"status"`
	Message     string         `json:"message"`
	ScheduledAt *time.Time     `json:"scheduled_at"`
	StartedAt   time.Time      `json:"started_at"`
	FinishedAt  *time.Time     `json:"finished_at"`
	RetryAt     *time.Time     `json:"retry_at"`
	Completions int            `json:"completions"`
	Succeeded   int            `json:"succeeded"`
	Active      int            `json:"active"`
	Failures    int            `json:"failures"`
	Containers  []RunContainer `json:"containers"`
}

// RunContainer is one attempt; Index counts the run's parts from 0.
type RunContainer struct {
	ID         string     `json:"id"`
	Index      int        `json:"index"`
	NodeID     *string    `json:"node_id"`
	Status     string     `json:"status"`
	Message    string     `json:"message"`
	ExitCode   *int       `json:"exit_code"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
}
