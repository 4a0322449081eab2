package types

import "time"

// StoredVolume is a named volume as the cluster keeps it.
type StoredVolume struct {
	Name         string            `json:"name"`
	Namespace    string            `json:"namespace,omitempty"`
	Size         Quantity          `json:"size"`
	Type         string            `json:"type"`
	Labels       map[string]string `json:"labels"`
	CreatedAt    time.Time         `json:"created_at"`
	UsedBy       []string          `json:"used_by"`
	NodeID       string            `json:"node_id"`
	Path         string            `json:"path"`
	Server       string            `json:"server"`
	Filesystem   string            `json:"filesystem"`
	MountOptions string            `json:"mount_options"`
	WithoutQuota string            `json:"without_quota"`
	ClonedFrom   string            `json:"cloned_from"`
	Snapshot     bool              `json:"snapshot"`
}

// NewVolume is the body of POST /volumes/create.
type NewVolume struct {
	Name         string            `json:"name"`
	Namespace    string            `json:"namespace,omitempty"`
	Size         Quantity          `json:"size,omitempty"`
	Type         string            `json:"type,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Node         string            `json:"node,omitempty"`
	Path         string            `json:"path,omitempty"`
	Server       string            `json:"server,omitempty"`
	Filesystem   string            `json:"filesystem,omitempty"`
	MountOptions string            `json:"mount_options,omitempty"`
	WithoutQuota string            `json:"without_quota,omitempty"`
}

// VolumeUsage is how much is in a volume: bytes of its files.
type VolumeUsage struct {
	Name      string    `json:"name"`
	NodeID    string    `json:"node_id"`
	Bytes     int64     `json:"bytes"`
	Files     int64     `json:"files"`
	Limit     *int64    `json:"limit"`
	Timestamp time.Time `json:"timestamp"`
}

// VolumeData is what a volume holds after its data was replaced, copied or moved.
type VolumeData struct {
	Name    string `json:"name"`
	NodeID  string `json:"node_id"`
	Bytes   int64  `json:"bytes"`
	Files   int64  `json:"files"`
	Message string `json:"message"`
}
