// Package types holds what Hivemind's API takes and answers.
//
// Fields that the API may answer null are pointers, or empty where nothing is lost by that.
package types

import "time"

// Resources says what one replica needs, and the most it may take. CPU is in cores.
type Resources struct {
	CPU      float64  `json:"cpu,omitempty"`
	Memory   Quantity `json:"memory,omitempty"`
	CPULimit float64  `json:"cpu_limit,omitempty"`
	MemLimit Quantity `json:"memory_limit,omitempty"`
}

// Volume is a named volume mounted into containers.
type Volume struct {
	Name      string `json:"name"`
	MountPath string `json:"mount_path"`
	ReadOnly  bool   `json:"read_only,omitempty"`
}

// Port is a port of a container, published on every node where HostPort is given.
type Port struct {
	ContainerPort int    `json:"container_port"`
	HostPort      int    `json:"host_port,omitempty"`
	Protocol      string `json:"protocol,omitempty"`
	// NodePort is where it is reached at the container's address, once it runs; answers only.
	NodePort int `json:"node_port,omitempty"`
}

// HTTPProbe is a GET to the container. Port is its first one where it is 0; Status is such as "200-399".
type HTTPProbe struct {
	Path    string            `json:"path,omitempty"`
	Port    int               `json:"port,omitempty"`
	Scheme  string            `json:"scheme,omitempty"`
	Status  Quantity          `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
}

// TCPProbe is a connection to the container.
type TCPProbe struct {
	Port int `json:"port,omitempty"`
}

// HealthCheck has one of Command (run in the container: exit code 0 is healthy), HTTP and TCP.
type HealthCheck struct {
	Command     string     `json:"command,omitempty"`
	HTTP        *HTTPProbe `json:"http,omitempty"`
	TCP         *TCPProbe  `json:"tcp,omitempty"`
	Interval    Quantity   `json:"interval,omitempty"`
	Timeout     Quantity   `json:"timeout,omitempty"`
	Retries     int        `json:"retries,omitempty"`
	StartPeriod Quantity   `json:"start_period,omitempty"`
}

// Restart says whether a container that ended, or is unhealthy, is started again. Policy is always, on-failure or no.
type Restart struct {
	Policy      string   `json:"policy,omitempty"`
	MaxAttempts int      `json:"max_attempts,omitempty"`
	Window      Quantity `json:"window,omitempty"`
	Backoff     Quantity `json:"backoff,omitempty"`
	MaxBackoff  Quantity `json:"max_backoff,omitempty"`
}

// Dependency is an app that must run first. Condition is healthy or started.
type Dependency struct {
	App       string `json:"app"`
	Condition string `json:"condition,omitempty"`
}

// Deployment is the body of POST /deploy. Replicas is 1 where it is 0; Scale takes 0.
// With Mode "global" there is one replica on each node that fits.
type Deployment struct {
	Name               string            `json:"name"`
	Namespace          string            `json:"namespace,omitempty"`
	Image              string            `json:"image"`
	ImageDigest        string            `json:"image_digest,omitempty"`
	ImageArchitectures []string          `json:"image_architectures,omitempty"`
	ResolveImage       *bool             `json:"resolve_image,omitempty"`
	Mode               string            `json:"mode,omitempty"`
	Service            string            `json:"service,omitempty"`
	Replicas           int               `json:"replicas,omitempty"`
	Command            []string          `json:"command,omitempty"`
	Args               []string          `json:"args,omitempty"`
	Resources          Resources         `json:"resources"`
	Env                map[string]string `json:"env,omitempty"`
	Labels             map[string]string `json:"labels,omitempty"`
	Volumes            []Volume          `json:"volumes,omitempty"`
	Ports              []Port            `json:"ports,omitempty"`
	HealthCheck        *HealthCheck      `json:"health_check,omitempty"`
	Restart            *Restart          `json:"restart,omitempty"`
	NodeAffinity       string            `json:"node_affinity,omitempty"`
	ServiceAffinity    string            `json:"service_affinity,omitempty"`
	PriorityClass      string            `json:"priority_class,omitempty"`
	Rebalance          *bool             `json:"rebalance,omitempty"`
	Autoscale          *Autoscale        `json:"autoscale,omitempty"`
	DependsOn          []Dependency      `json:"depends_on,omitempty"`
	MinAvailable       Quantity          `json:"min_available,omitempty"`
	RescheduleAfter    Quantity          `json:"reschedule_after,omitempty"`
}

// DeployResult answers a deploy.
type DeployResult struct {
	AppID        string   `json:"app_id"`
	ContainerIDs []string `json:"container_ids"`
	ServiceID    string   `json:"service_id"`
	Message      string   `json:"message"`
	Warnings     []string `json:"warnings"`
}

// ScaleResult answers a scale.
type ScaleResult struct {
	Name             string `json:"name"`
	PreviousReplicas int    `json:"previous_replicas"`
	NewReplicas      int    `json:"new_replicas"`
	Message          string `json:"message"`
}

// Done says what was done, and to what.
type Done struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

// App is an application.
type App struct {
	Name            string    `json:"name"`
	Namespace       string    `json:"namespace,omitempty"`
	Image           string    `json:"image"`
	ImageDigest     string    `json:"image_digest"`
	Replicas        int       `json:"replicas"`
	RunningReplicas int       `json:"running_replicas"`
	Status          string    `json:"status"`
	Service         string    `json:"service"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
}

// AppContainer is a container of an app.
type AppContainer struct {
	ID      string `json:"id"`
	NodeID  string `json:"node_id"`
	Status  string `json:"status"`
	Health  string `json:"health"`
	Message string `json:"message"`
}

// AppDetail is an application with what was asked for.
type AppDetail struct {
	App
	ImageArchitectures []string          `json:"image_architectures"`
	Containers         []AppContainer    `json:"containers"`
	Resources          Resources         `json:"resources"`
	Env                map[string]string `json:"env"`
	Labels             map[string]string `json:"labels"`
	Command            []string          `json:"command"`
	Args               []string          `json:"args"`
	Volumes            []Volume          `json:"volumes"`
	Ports              []Port            `json:"ports"`
	HealthCheck        *HealthCheck      `json:"health_check"`
	Restart            *Restart          `json:"restart"`
	NodeAffinity       string            `json:"node_affinity"`
	ServiceAffinity    string            `json:"service_affinity"`
	PriorityClass      string            `json:"priority_class"`
	Rebalance          bool              `json:"rebalance"`
	Autoscale          *Autoscale        `json:"autoscale"`
	DependsOn          []Dependency      `json:"depends_on"`
	MinAvailable       Quantity          `json:"min_available"`
	RescheduleAfter    Quantity          `json:"reschedule_after"`
}

// ContainerHealth is the state of a container's health.
type ContainerHealth struct {
	Status    string     `json:"status"`
	LastCheck *time.Time `json:"last_check"`
}

// Container is a replica of an app, on the node NodeID ("" while it is not placed). Revision is the number in the app's
// history of what it was made of; nil while that is not in there yet.
type Container struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	App          string          `json:"app"`
	Namespace    string          `json:"namespace,omitempty"`
	Image        string          `json:"image"`
	ImageDigest  string          `json:"image_digest"`
	Revision     *int            `json:"revision"`
	Status       string          `json:"status"`
	Message      string          `json:"message"`
	NodeID       string          `json:"node_id"`
	EngineID     string          `json:"engine_id"`
	CreatedAt    time.Time       `json:"created_at"`
	StartedAt    *time.Time      `json:"started_at"`
	IPAddress    string          `json:"ip_address"`
	IP6Address   string          `json:"ip6_address"`
	Ports        []Port          `json:"ports"`
	Health       ContainerHealth `json:"health"`
	RestartCount int             `json:"restart_count"`
	ExitCode     *int            `json:"exit_code"`
}

// ContainerDetail is a container with its settings.
type ContainerDetail struct {
	Container
	Environment map[string]string `json:"environment"`
	Labels      map[string]string `json:"labels"`
	Volumes     []Volume          `json:"volumes"`
	Resources   Resources         `json:"resources"`
}

// Stats is what a container uses. CPUUsage is percent of one core; nil is what the engine does not count.
type Stats struct {
	CPUUsage    float64   `json:"cpu_usage"`
	MemoryUsage int64     `json:"memory_usage"`
	MemoryLimit *int64    `json:"memory_limit"`
	NetworkRx   *int64    `json:"network_rx"`
	NetworkTx   *int64    `json:"network_tx"`
	BlockRead   *int64    `json:"block_read"`
	BlockWrite  *int64    `json:"block_write"`
	Timestamp   time.Time `json:"timestamp"`
}

// Endpoint is where a replica is reached. NodeID and Health are told in a service's details.
type Endpoint struct {
	ContainerID string `json:"container_id"`
	IPAddress   string `json:"ip_address"`
	Port        int    `json:"port"`
	NodeID      string `json:"node_id"`
	Health      string `json:"health"`
}

// ServiceHealthCheck is what probes a service's replicas.
type ServiceHealthCheck struct {
	Protocol           string   `json:"protocol,omitempty"`
	Path               string   `json:"path,omitempty"`
	Interval           Quantity `json:"interval,omitempty"`
	Timeout            Quantity `json:"timeout,omitempty"`
	HealthyThreshold   int      `json:"healthy_threshold,omitempty"`
	UnhealthyThreshold int      `json:"unhealthy_threshold,omitempty"`
}

// Service is the name under which the replicas of apps are reached.
type Service struct {
	Name                  string              `json:"name"`
	Namespace             string              `json:"namespace,omitempty"`
	Domain                string              `json:"domain"`
	VirtualIP             string              `json:"virtual_ip"`
	Ports                 []ServicePort       `json:"ports"`
	Apps                  []string            `json:"apps"`
	Endpoints             []Endpoint          `json:"endpoints"`
	LoadBalancingStrategy string              `json:"load_balancing_strategy"`
	SessionAffinity       string              `json:"session_affinity"`
	SessionTimeout        Quantity            `json:"session_timeout"`
	Prefer                string              `json:"prefer"`
	ProxyProtocol         string              `json:"proxy_protocol"`
	Weights               map[string]int      `json:"weights"`
	HealthCheck           *ServiceHealthCheck `json:"health_check"`
}

// ServicePort is a port of a service's virtual address; with HostPort published on every node, too.
type ServicePort struct {
	Port       int    `json:"port"`
	TargetPort int    `json:"target_port,omitempty"`
	HostPort   int    `json:"host_port,omitempty"`
	Protocol   string `json:"protocol,omitempty"`
}

// GivenEndpoint is an address that a service leads to and no app stands for.
type GivenEndpoint struct {
	IPAddress string `json:"ip_address"`
	Port      int    `json:"port,omitempty"`
	Weight    *int   `json:"weight,omitempty"`
}

// NewService is a service that stands by itself.
type NewService struct {
	Name string `json:"name"`
	ServiceUpdate
}

// ServiceUpdate changes a service; what is left out stays as it is.
type ServiceUpdate struct {
	LoadBalancingStrategy string              `json:"load_balancing_strategy,omitempty"`
	HealthCheck           *ServiceHealthCheck `json:"health_check,omitempty"`
	SessionAffinity       string              `json:"session_affinity,omitempty"`
	SessionTimeout        Quantity            `json:"session_timeout,omitempty"`
	Prefer                string              `json:"prefer,omitempty"`
	ProxyProtocol         string              `json:"proxy_protocol,omitempty"`
	Weights               map[string]int      `json:"weights,omitempty"`
	Ports                 []ServicePort       `json:"ports,omitempty"`
	Endpoints             []GivenEndpoint     `json:"endpoints,omitempty"`
}

// NodeResources are what a node has and what is free: cores and bytes.
type NodeResources struct {
	CPUTotal        float64 `json:"cpu_total"`
	CPUAvailable    float64 `json:"cpu_available"`
	MemoryTotal     int64   `json:"memory_total"`
	MemoryAvailable int64   `json:"memory_available"`
	DiskTotal       int64   `json:"disk_total"`
	DiskAvailable   int64   `json:"disk_available"`
}

// NodeFacts are in both a list and a node's details.
type NodeFacts struct {
	ID           string            `json:"id"`
	Address      string            `json:"address"`
	Status       string            `json:"status"`
	Message      string            `json:"message"`
	Role         string            `json:"role"`
	Leader       bool              `json:"leader"`
	Version      string            `json:"version"`
	Engine       string            `json:"engine"`
	Architecture string            `json:"architecture"`
	Maintenance  bool              `json:"maintenance"`
	Draining     bool              `json:"draining"`
	Labels       map[string]string `json:"labels"`
	Resources    NodeResources     `json:"resources"`
}

// Node is a machine; Containers counts those on it.
type Node struct {
	NodeFacts
	Containers int `json:"containers"`
}

// Taint keeps containers away from a node.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Effect string `json:"effect"`
}

// NodeContainer is a container on a node.
type NodeContainer struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
}

// Capability is what a machine has or lacks, and what serves as it or is missing.
type Capability struct {
	Name      string `json:"name"`
	Available bool   `json:"available"`
	Detail    string `json:"detail"`
}

// NodeNetwork is a node's part of the overlay: connected, degraded or disabled, and why.
type NodeNetwork struct {
	Subnet         string       `json:"subnet"`
	Subnet6        string       `json:"subnet6"`
	OverlayStatus  string       `json:"overlay_status"`
	OverlayMessage string       `json:"overlay_message"`
	Capabilities   []Capability `json:"capabilities"`
}

// OverlayNode is a node's part of the overlay; its mode is vxlan, host-gw or off.
type OverlayNode struct {
	NodeNetwork
	NodeID string `json:"node_id"`
	Mode   string `json:"mode"`
}

// Overlay is the network between containers of all nodes; its encryption is wireguard or off.
type Overlay struct {
	Ranges       []string      `json:"ranges"`
	Encryption   string        `json:"encryption"`
	SubnetsTotal int           `json:"subnets_total"`
	SubnetsUsed  int           `json:"subnets_used"`
	Nodes        []OverlayNode `json:"nodes"`
}

// NodeDetail is a machine with what is on it.
type NodeDetail struct {
	NodeFacts
	Containers []NodeContainer `json:"containers"`
	Taints     []Taint         `json:"taints"`
	Network    NodeNetwork     `json:"network"`
	RTTMs      *float64        `json:"rtt_ms"`
	TakenPorts []HostPort      `json:"taken_ports"`
}

// HostPort is a published port that another program has on a node.
type HostPort struct {
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
}

// Component is the health of nodes, containers or services.
type Component struct {
	Status    string `json:"status"`
	Total     int    `json:"total"`
	Healthy   int    `json:"healthy"`
	Unhealthy int    `json:"unhealthy"`
}

// Health is the health of the whole. Components are nodes, containers and services; Alerts counts by severity.
type Health struct {
	Status     string               `json:"status"`
	Components map[string]Component `json:"components"`
	Alerts     map[string]int       `json:"alerts"`
	NodeID     string               `json:"node_id"`
	Leader     string               `json:"leader"`
}

// HealthResult is one check of a container.
type HealthResult struct {
	Timestamp time.Time `json:"timestamp"`
	Status    string    `json:"status"`
	Message   string    `json:"message"`
}

// ContainerHealthReport is a container's health with its history.
type ContainerHealthReport struct {
	ID                  string         `json:"id"`
	Status              string         `json:"status"`
	LastCheck           *time.Time     `json:"last_check"`
	ConsecutiveFailures int            `json:"consecutive_failures"`
	RestartCount        int            `json:"restart_count"`
	HealthHistory       []HealthResult `json:"health_history"`
}

// NodeSample is one entry of a node's history; usages are percent of the whole node.
type NodeSample struct {
	Timestamp     time.Time `json:"timestamp"`
	CPUUsage      float64   `json:"cpu_usage"`
	MemoryUsage   float64   `json:"memory_usage"`
	DiskUsage     float64   `json:"disk_usage"`
	NetworkStatus string    `json:"network_status"`
	Message       string    `json:"message"`
}

// NodeHealthReport is a node's health; nil is what it has not told.
type NodeHealthReport struct {
	ID             string       `json:"id"`
	Status         string       `json:"status"`
	LastSeen       *time.Time   `json:"last_seen"`
	CPUUsage       *float64     `json:"cpu_usage"`
	MemoryUsage    *float64     `json:"memory_usage"`
	DiskUsage      *float64     `json:"disk_usage"`
	NetworkStatus  string       `json:"network_status"`
	ContainerCount int          `json:"container_count"`
	HealthHistory  []NodeSample `json:"health_history"`
}

// Cluster is the cluster as this node sees it.
type Cluster struct {
	ID            string    `json:"id"`
	NodeID        string    `json:"node_id"`
	Leader        string    `json:"leader"`
	Term          int64     `json:"term"`
	Voters        []string  `json:"voters"`
	Index         int64     `json:"index"`
	LastContactMs *float64  `json:"last_contact_ms"`
	Nodes         int       `json:"nodes"`
	ReadyNodes    int       `json:"ready_nodes"`
	Version       string    `json:"version"`
	CreatedAt     time.Time `json:"created_at"`
}

// NodeLabelChange changes only what is named; a nil label is taken away.
type NodeLabelChange struct {
	Labels       map[string]*string `json:"labels,omitempty"`
	AddTaints    []Taint            `json:"add_taints,omitempty"`
	RemoveTaints []TaintName        `json:"remove_taints,omitempty"`
}

// TaintName names taints to remove: those of the key, with the effect or with any.
type TaintName struct {
	Key    string `json:"key"`
	Effect string `json:"effect,omitempty"`
}

// LeaderChanged tells who leads now.
type LeaderChanged struct {
	Leader         string `json:"leader"`
	PreviousLeader string `json:"previous_leader"`
	Message        string `json:"message"`
}

// GossipKey is a key that gossip is sealed with, called by its fingerprint.
type GossipKey struct {
	Fingerprint string   `json:"fingerprint"`
	InUse       bool     `json:"in_use"`
	UsedBy      []string `json:"used_by"`
	HeldBy      []string `json:"held_by"`
	Unanswered  []string `json:"unanswered"`
}

// GossipKeyChanged says which key every member has changed.
type GossipKeyChanged struct {
	Fingerprint string `json:"fingerprint"`
	Message     string `json:"message"`
}

// Alert is something that somebody should look at.
type Alert struct {
	ID        string    `json:"id"`
	Namespace string    `json:"namespace"`
	Severity  string    `json:"severity"`
	Resource  string    `json:"resource"`
	Message   string    `json:"message"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
}

// Login answers a login.
type Login struct {
	Token     string    `json:"token"`
	UserID    string    `json:"user_id"`
	Username  string    `json:"username"`
	Role      string    `json:"role"`
	ExpiresAt time.Time `json:"expires_at"`
}

// NewAPIKey is the body of POST /auth/api-keys. At most one of ExpiresAt (RFC 3339) and ExpiresIn ("90d").
type NewAPIKey struct {
	Name      string   `json:"name"`
	Role      string   `json:"role,omitempty"`
	ExpiresAt string   `json:"expires_at,omitempty"`
	ExpiresIn Quantity `json:"expires_in,omitempty"`
}

// APIKey is a key; Key, the secret, is told once, where it was just created.
type APIKey struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	CreatedBy string     `json:"created_by"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	Key       string     `json:"key"`
}

// User is somebody who may use the API.
type User struct {
	ID        string    `json:"id"`
	Username  string    `json:"username"`
	Role      string    `json:"role"`
	CreatedAt time.Time `json:"created_at"`
}

// NewUser is the body of POST /users.
type NewUser struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Role     string `json:"role,omitempty"`
}

// Permission allows a verb on a resource within a scope: "*", "namespace/<name>" or "tenant/<id>".
type Permission struct {
	Verb     string `json:"verb"`
	Resource string `json:"resource"`
	Scope    string `json:"scope,omitempty"`
}

// Role is a set of permissions.
type Role struct {
	Name        string       `json:"name"`
	Description string       `json:"description"`
	BuiltIn     bool         `json:"built_in,omitempty"`
	Permissions []Permission `json:"permissions"`
}

// Group gives its roles to its members.
type Group struct {
	Name    string   `json:"name"`
	Roles   []string `json:"roles"`
	Members []string `json:"members"`
}

// AuditRecord says who did, or tried, what. Outcome is "done", or the code of the error.
type AuditRecord struct {
	ID        int64     `json:"id"`
	Timestamp time.Time `json:"timestamp"`
	UserID    string    `json:"user_id"`
	Address   string    `json:"address"`
	Action    string    `json:"action"`
	Target    string    `json:"target"`
	Outcome   string    `json:"outcome"`
	Message   string    `json:"message"`
	Index     int64     `json:"index"`
}

// Operation is one of a batch.
type Operation struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   any    `json:"body,omitempty"`
}

// OperationResult answers one operation of a batch; Data is as the operation answers it.
type OperationResult struct {
	Success bool           `json:"success"`
	Status  int            `json:"status"`
	Data    map[string]any `json:"data"`
	Error   *ErrorBody     `json:"error"`
}

// ErrorBody is why something was refused.
type ErrorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Event is something that happened. ID resumes after it at any node; Type has underscores ("container_created").
type Event struct {
	ID   string         `json:"id"`
	Type string         `json:"type"`
	Data map[string]any `json:"data"`
}
