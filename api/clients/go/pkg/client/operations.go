package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ao/hivemind/pkg/api/types"
)

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// Page is a part of a list; Total counts all that the filters let pass, the offsets are nil where there is no page.
type Page[T any] struct {
	Items      []T
	Total      int
	NextOffset *int
	PrevOffset *int
}

// Query asks for a part of a list: limit, offset, sort, order, and any scalar field as a filter. nil asks for all.
type Query map[string]string

func (q Query) values() url.Values {
	values := url.Values{}
	for name, value := range q {
		values.Set(name, value)
	}
	return values
}

func list[T any](ctx context.Context, c *Client, path, key string, query Query) (*Page[T], error) {
	answer := map[string]raw{}
	if err := c.Do(ctx, get, path, query.values(), nil, &answer); err != nil {
		return nil, err
	}
	page := &Page[T]{}
	pages := struct {
		Total      int
		NextOffset *int `json:"next_offset"`
		PrevOffset *int `json:"prev_offset"`
	}{}
	if err := answer[key].into(&page.Items); err != nil {
		return nil, err
	}
	if err := answer["pagination"].into(&pages); err != nil {
		return nil, err
	}
	page.Total, page.NextOffset, page.PrevOffset = pages.Total, pages.NextOffset, pages.PrevOffset
	return page, nil
}

// one asks for one answer of type T.
func one[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	answer := new(T)
	if err := c.Do(ctx, method, path, nil, body, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// part is a variable in a path.
func part(text string) string { return url.PathEscape(text) }

// ---- containers

// Containers lists containers. Filters are status, node, app, and any field.
func (c *Client) Containers(ctx context.Context, query Query) (*Page[types.Container], error) {
	return list[types.Container](ctx, c, "/containers", "containers", query)
}

// Container shows one container.
func (c *Client) Container(ctx context.Context, id string) (*types.ContainerDetail, error) {
	return one[types.ContainerDetail](ctx, c, get, "/containers/"+part(id), nil)
}

// Stats says what a container uses.
func (c *Client) Stats(ctx context.Context, id string) (*types.Stats, error) {
	return one[types.Stats](ctx, c, get, "/containers/"+part(id)+"/stats", nil)
}

// ---- apps

// Deploy starts a new application.
func (c *Client) Deploy(ctx context.Context, deployment *types.Deployment) (*types.DeployResult, error) {
	return one[types.DeployResult](ctx, c, post, "/deploy", deployment)
}

// Apps lists the applications.
func (c *Client) Apps(ctx context.Context, query Query) (*Page[types.App], error) {
	return list[types.App](ctx, c, "/apps", "apps", query)
}

// App shows one application.
func (c *Client) App(ctx context.Context, name string) (*types.AppDetail, error) {
	return one[types.AppDetail](ctx, c, get, "/apps/"+part(name), nil)
}

// Scale changes how many replicas an application has.
func (c *Client) Scale(ctx context.Context, name string, replicas int) (*types.ScaleResult, error) {
	body := map[string]any{"name": name, "replicas": replicas}
	return one[types.ScaleResult](ctx, c, post, "/scale", body)
}

// Restart replaces an application's replicas one after the other.
func (c *Client) Restart(ctx context.Context, name string) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/restart", map[string]string{"name": name})
}

// DeleteApp deletes an application with its containers.
func (c *Client) DeleteApp(ctx context.Context, name string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/apps/"+part(name), nil)
}

// UpdateApp rolls out a whole new spec of an application.
func (c *Client) UpdateApp(ctx context.Context, deployment *types.Deployment) (*types.UpdateResult, error) {
	return one[types.UpdateResult](ctx, c, put, "/apps/"+part(deployment.Name), deployment)
}

// AppHistory lists what an application was.
func (c *Client) AppHistory(ctx context.Context, name string, query Query) (*Page[types.Revision], error) {
	return list[types.Revision](ctx, c, "/apps/"+part(name)+"/history", "revisions", query)
}

// RollbackApp goes back to a revision of an application's history; 0 is the one before the present.
func (c *Client) RollbackApp(ctx context.Context, name string, to int) (*types.UpdateResult, error) {
	body := map[string]int{}
	if to > 0 {
		body["to"] = to
	}
	return one[types.UpdateResult](ctx, c, post, "/apps/"+part(name)+"/rollback", body)
}

// PriorityClasses lists who is placed before whom.
func (c *Client) PriorityClasses(ctx context.Context, query Query) (*Page[types.PriorityClass], error) {
	return list[types.PriorityClass](ctx, c, "/priority-classes", "priority_classes", query)
}

// CreatePriorityClass defines a class.
func (c *Client) CreatePriorityClass(ctx context.Context, class *types.PriorityClass) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/priority-classes", class)
}

// DeletePriorityClass deletes a class of one's own.
func (c *Client) DeletePriorityClass(ctx context.Context, name string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/priority-classes/"+part(name), nil)
}

// ---- deployments

// Deployments lists deployments, newest first. Filters are status, app_name, and any field.
func (c *Client) Deployments(ctx context.Context, query Query) (*Page[types.DeploymentItem], error) {
	return list[types.DeploymentItem](ctx, c, "/deployments", "deployments", query)
}

// CreateDeployment records a deployment; ExecuteDeployment begins it.
func (c *Client) CreateDeployment(
	ctx context.Context, deployment *types.NewDeployment,
) (*types.DeploymentCreated, error) {
	return one[types.DeploymentCreated](ctx, c, post, "/deployments", deployment)
}

// GetDeployment shows one deployment.
func (c *Client) GetDeployment(ctx context.Context, id string) (*types.DeploymentDetail, error) {
	return one[types.DeploymentDetail](ctx, c, get, "/deployments/"+part(id), nil)
}

// DeploymentStatus says how far a deployment has come.
func (c *Client) DeploymentStatus(ctx context.Context, id string) (*types.DeploymentProgress, error) {
	return one[types.DeploymentProgress](ctx, c, get, "/deployments/"+part(id)+"/status", nil)
}

// ExecuteDeployment begins a deployment.
func (c *Client) ExecuteDeployment(ctx context.Context, id string) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/deployments/"+part(id)+"/execute", nil)
}

// RollbackDeployment takes a deployment back.
func (c *Client) RollbackDeployment(ctx context.Context, id string) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/deployments/"+part(id)+"/rollback", nil)
}

// PromoteDeployment makes a paused deployment go on; variant is the winner of an A/B test, or "".
func (c *Client) PromoteDeployment(ctx context.Context, id, variant string) (*types.Done, error) {
	body := map[string]string{}
	if variant != "" {
		body["variant"] = variant
	}
	return one[types.Done](ctx, c, post, "/deployments/"+part(id)+"/promote", body)
}

// ---- services and volumes

// Services lists the services.
func (c *Client) Services(ctx context.Context, query Query) (*Page[types.Service], error) {
	return list[types.Service](ctx, c, "/services", "services", query)
}

// Service shows one service.
func (c *Client) Service(ctx context.Context, name string) (*types.Service, error) {
	return one[types.Service](ctx, c, get, "/services/"+part(name), nil)
}

// CreateService makes a service that stands by itself.
func (c *Client) CreateService(ctx context.Context, service *types.NewService) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/services", service)
}

// DeleteService deletes a service that no app is reached by.
func (c *Client) DeleteService(ctx context.Context, name string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/services/"+part(name), nil)
}

// UpdateService changes how a service balances and probes.
func (c *Client) UpdateService(ctx context.Context, name string, update *types.ServiceUpdate) (*types.Done, error) {
	return one[types.Done](ctx, c, put, "/services/"+part(name), update)
}

// ---- nodes

// Nodes lists the nodes.
func (c *Client) Nodes(ctx context.Context, query Query) (*Page[types.Node], error) {
	return list[types.Node](ctx, c, "/nodes", "nodes", query)
}

// Node shows one node.
func (c *Client) Node(ctx context.Context, id string) (*types.NodeDetail, error) {
	return one[types.NodeDetail](ctx, c, get, "/nodes/"+part(id), nil)
}

// SetMaintenance puts a node into maintenance, or takes it out; with drain its containers go elsewhere.
func (c *Client) SetMaintenance(ctx context.Context, id string, enable, drain bool) (*types.Done, error) {
	body := map[string]bool{"enable": enable, "drain": drain}
	return one[types.Done](ctx, c, post, "/nodes/"+part(id)+"/maintenance", body)
}

// LabelNode replaces a node's labels and, where not nil, its taints.
func (c *Client) LabelNode(
	ctx context.Context, id string, labels map[string]string, taints []types.Taint,
) (*types.Done, error) {
	body := map[string]any{"labels": labels, "taints": taints}
	return one[types.Done](ctx, c, put, "/nodes/"+part(id)+"/labels", body)
}

// ChangeNodeLabels sets and removes single labels and taints of a node.
func (c *Client) ChangeNodeLabels(ctx context.Context, id string, change *types.NodeLabelChange) (*types.Done, error) {
	return one[types.Done](ctx, c, patch, "/nodes/"+part(id)+"/labels", change)
}

// RemoveNode takes a node out of the cluster; with force also while it has containers.
func (c *Client) RemoveNode(ctx context.Context, id string, force bool) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/nodes/"+part(id)+"?force="+strconv.FormatBool(force), nil)
}

// Overlay shows the network between containers of all nodes.
func (c *Client) Overlay(ctx context.Context) (*types.Overlay, error) {
	return one[types.Overlay](ctx, c, get, "/overlay", nil)
}

// EncryptOverlay seals packets between nodes: "wireguard", or "off".
func (c *Client) EncryptOverlay(ctx context.Context, encryption string) (*types.Done, error) {
	return one[types.Done](ctx, c, put, "/overlay", map[string]any{"encryption": encryption})
}

// ExtendOverlay adds a range of addresses for the containers of more nodes.
func (c *Client) ExtendOverlay(ctx context.Context, cidr string) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/overlay/ranges", map[string]any{"range": cidr})
}

// Leave makes a node drain, leave the cluster, and end.
func (c *Client) Leave(ctx context.Context, id string) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/nodes/"+part(id)+"/leave", nil)
}

// ---- health and the cluster

// Health shows the health of the whole.
func (c *Client) Health(ctx context.Context) (*types.Health, error) {
	return one[types.Health](ctx, c, get, "/health", nil)
}

// ContainerHealth shows a container's health with its history.
func (c *Client) ContainerHealth(ctx context.Context, id string) (*types.ContainerHealthReport, error) {
	return one[types.ContainerHealthReport](ctx, c, get, "/health/container/"+part(id), nil)
}

// NodeHealth shows a node's health with its history.
func (c *Client) NodeHealth(ctx context.Context, id string) (*types.NodeHealthReport, error) {
	return one[types.NodeHealthReport](ctx, c, get, "/health/node/"+part(id), nil)
}

// Settings lists what may be set for the whole cluster, and what holds now.
func (c *Client) Settings(ctx context.Context, query Query) (*Page[types.Setting], error) {
	return list[types.Setting](ctx, c, "/config", "settings", query)
}

// GetSetting shows one setting of the cluster.
func (c *Client) GetSetting(ctx context.Context, key string) (*types.Setting, error) {
	return one[types.Setting](ctx, c, get, "/config/"+part(key), nil)
}

// SetSetting sets it: value is a bool, a number or a string.
func (c *Client) SetSetting(ctx context.Context, key string, value any) (*types.Done, error) {
	return one[types.Done](ctx, c, put, "/config/"+part(key), map[string]any{"value": value})
}

// UnsetSetting gives it its default again.
func (c *Client) UnsetSetting(ctx context.Context, key string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/config/"+part(key), nil)
}

// Cluster shows the cluster as the asked node sees it.
func (c *Client) Cluster(ctx context.Context) (*types.Cluster, error) {
	return one[types.Cluster](ctx, c, get, "/cluster", nil)
}

// JoinToken answers the token by which a new node joins.
func (c *Client) JoinToken(ctx context.Context) (string, error) {
	var answer struct{ Token string }
	err := c.Do(ctx, get, "/cluster/token", nil, nil, &answer)
	return answer.Token, err
}

// TransferLeader lets another node lead; an empty one is chosen there.
func (c *Client) TransferLeader(ctx context.Context, node string) (*types.LeaderChanged, error) {
	body := map[string]string{}
	if node != "" {
		body["node"] = node
	}
	return one[types.LeaderChanged](ctx, c, post, "/cluster/transfer-leader", body)
}

// BackupCluster reads a copy of all that the cluster has agreed. Where it breaks off, reading fails. Close it.
func (c *Client) BackupCluster(ctx context.Context) (io.ReadCloser, error) {
	_, body, err := c.open(ctx, c.server(), "/cluster/backup", nil)
	return body, err
}

// GossipKeys lists the keys that gossip is sealed with, the used ones first.
func (c *Client) GossipKeys(ctx context.Context, query Query) (*Page[types.GossipKey], error) {
	return list[types.GossipKey](ctx, c, "/cluster/keys", "keys", query)
}

// InstallGossipKey makes every member accept a key (32 bytes in base64); an empty one is made there.
func (c *Client) InstallGossipKey(ctx context.Context, key string) (*types.GossipKeyChanged, error) {
	body := map[string]string{}
	if key != "" {
		body["key"] = key
	}
	return one[types.GossipKeyChanged](ctx, c, post, "/cluster/keys", body)
}

// UseGossipKey makes every member seal with a key.
func (c *Client) UseGossipKey(ctx context.Context, fingerprint string) (*types.GossipKeyChanged, error) {
	return one[types.GossipKeyChanged](ctx, c, post, "/cluster/keys/"+part(fingerprint)+"/use", nil)
}

// RemoveGossipKey makes every member forget a key.
func (c *Client) RemoveGossipKey(ctx context.Context, fingerprint string) (*types.GossipKeyChanged, error) {
	return one[types.GossipKeyChanged](ctx, c, remove, "/cluster/keys/"+part(fingerprint), nil)
}

// RotateGossipKeys installs a new key, uses it, and removes all others.
func (c *Client) RotateGossipKeys(ctx context.Context) (*types.GossipKeyChanged, error) {
	return one[types.GossipKeyChanged](ctx, c, post, "/cluster/rotate-keys", nil)
}

// Alerts lists the active alerts.
func (c *Client) Alerts(ctx context.Context, query Query) (*Page[types.Alert], error) {
	return list[types.Alert](ctx, c, "/alerts", "alerts", query)
}

// Alert shows one alert.
func (c *Client) Alert(ctx context.Context, id string) (*types.Alert, error) {
	return one[types.Alert](ctx, c, get, "/alerts/"+part(id), nil)
}

// AcknowledgeAlert says that somebody looks after it.
func (c *Client) AcknowledgeAlert(ctx context.Context, id string) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/alerts/"+part(id)+"/acknowledge", nil)
}

// RememberedEvents lists events that were; Events goes on from there.
func (c *Client) RememberedEvents(ctx context.Context, query Query) (*Page[types.Event], error) {
	return list[types.Event](ctx, c, "/events", "events", query)
}

// Metrics answers the metrics in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context) (string, error) {
	content, err := c.ask(ctx, get, "/metrics", nil, nil)
	return string(content), err
}

// Batch does several operations, each answered on its own; atomic: all of them, which must be changes, or none.
func (c *Client) Batch(
	ctx context.Context, operations []types.Operation, atomic bool,
) ([]types.OperationResult, error) {
	var answer struct{ Results []types.OperationResult }
	err := c.Do(ctx, post, "/batch", nil, map[string]any{"operations": operations, "atomic": atomic}, &answer)
	return answer.Results, err
}

// raw is a part of an answer that is decoded later.
type raw []byte

// UnmarshalJSON keeps the text.
func (r *raw) UnmarshalJSON(data []byte) error {
	*r = append(raw(nil), data...)
	return nil
}

func (r raw) into(target any) error {
	if r == nil {
		return nil
	}
	return json.Unmarshal(r, target)
}
