package client

import (
	"bufio"
	"context"
	"os"
	"testing"
	"time"

	"github.com/ao/hivemind/pkg/api/types"
)

// TestEverythingThatCanBeRead needs a live cluster: HIVEMIND_TEST_SERVERS (URLs, separated by commas) and
// HIVEMIND_TOKEN, an admin's. tests/clients/test_go.py gives both.
func TestEverythingThatCanBeRead(t *testing.T) {
	servers := os.Getenv("HIVEMIND_TEST_SERVERS")
	if servers == "" {
		t.Skip("HIVEMIND_TEST_SERVERS is not set")
	}
	c, err := NewClient(servers)
	must(t, "a client", err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	spec := &types.Deployment{Name: "go-read", Image: "busybox", Command: []string{"sh", "-c", "echo hello; exec sleep 600"}}
	result, err := c.Deploy(ctx, spec)
	must(t, "deploy", err)
	id := result.ContainerIDs[0]
	for {
		container, err := c.Container(ctx, id)
		must(t, "container", err)
		if container.Status == "running" {
			break
		}
		must(t, "waiting for it to run", wait(ctx, 100*time.Millisecond))
	}
	readApp(ctx, t, c, id)
	readCluster(ctx, t, c)
	readAccess(ctx, t, c)
	changeApp(ctx, t, c, spec)
	jobs(ctx, t, c)
	_, err = c.DeleteApp(ctx, spec.Name)
	must(t, "delete", err)
	if _, err = c.App(ctx, spec.Name); !IsNotFound(err) {
		t.Errorf("after its deletion: %v", err)
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func readApp(ctx context.Context, t *testing.T, c *Client, id string) {
	app, err := c.App(ctx, "go-read")
	must(t, "app", err)
	if len(app.Containers) != 1 || app.Containers[0].ID != id {
		t.Errorf("containers are %v", app.Containers)
	}
	page, err := c.Containers(ctx, Query{"app": "go-read", "limit": "1"})
	must(t, "containers", err)
	if page.Total != 1 || page.Items[0].ID != id {
		t.Errorf("a page is %v", page)
	}
	lines, err := c.FollowLogs(ctx, id, LogOptions{})
	must(t, "following logs", err)
	line, err := bufio.NewReader(lines).ReadString('\n')
	must(t, "a line", err)
	must(t, "closing", lines.Close())
	text, err := c.Logs(ctx, id, LogOptions{})
	must(t, "logs", err)
	if line != "hello\n" || text != "hello\n" {
		t.Errorf("logs are %q, followed %q", text, line)
	}
	_, err = c.Stats(ctx, id)
	must(t, "stats", err)
	_, err = c.ContainerHealth(ctx, id)
	must(t, "container's health", err)
	_, err = c.AppHistory(ctx, "go-read", nil)
	must(t, "history", err)
	service, err := c.Service(ctx, "go-read")
	must(t, "service", err)
	if len(service.Endpoints) != 1 {
		t.Errorf("endpoints are %v", service.Endpoints)
	}
	events, err := c.RememberedEvents(ctx, Query{"resources": "app/go-read"})
	must(t, "remembered events", err)
	enough := context.Canceled
	err = c.Events(ctx, EventFilter{Resources: []string{"app/go-read"}, Since: events.Items[0].ID}, func(types.Event) error { return enough })
	if err != enough {
		t.Errorf("events ended with %v", err)
	}
}

func readCluster(ctx context.Context, t *testing.T, c *Client) {
	nodes, err := c.Nodes(ctx, Query{"sort": "id"})
	must(t, "nodes", err)
	_, err = c.Node(ctx, nodes.Items[0].ID)
	must(t, "node", err)
	_, err = c.NodeHealth(ctx, nodes.Items[0].ID)
	must(t, "node's health", err)
	_, err = c.Health(ctx)
	must(t, "health", err)
	_, err = c.Cluster(ctx)
	must(t, "cluster", err)
	_, err = c.Settings(ctx, nil)
	must(t, "settings", err)
	_, err = c.SetSetting(ctx, "scheduler.random_seed", 7)
	must(t, "setting", err)
	setting, err := c.GetSetting(ctx, "scheduler.random_seed")
	must(t, "setting", err)
	if setting.Value != 7.0 {
		t.Errorf("a setting is %v", setting)
	}
	_, err = c.UnsetSetting(ctx, setting.Key)
	must(t, "unsetting", err)
	_, err = c.JoinToken(ctx)
	must(t, "join token", err)
	_, err = c.Alerts(ctx, nil)
	must(t, "alerts", err)
	_, err = c.Metrics(ctx)
	must(t, "metrics", err)
	_, err = c.CreateVolume(ctx, &types.NewVolume{Name: "go-volume", Size: "1G"})
	must(t, "creating a volume", err)
	_, err = c.Volume(ctx, "go-volume")
	must(t, "volume", err)
	_, err = c.Volumes(ctx, nil)
	must(t, "volumes", err)
	_, err = c.DeleteVolume(ctx, "go-volume", false)
	must(t, "deleting a volume", err)
	_, err = c.Deployments(ctx, nil)
	must(t, "deployments", err)
	results, err := c.Batch(ctx, []types.Operation{{Method: "GET", Path: "/apps"}, {Method: "GET", Path: "/apps/nope"}}, false)
	must(t, "batch", err)
	if !results[0].Success || results[1].Error.Code != "resource_not_found" {
		t.Errorf("a batch is answered %v", results)
	}
}

func readAccess(ctx context.Context, t *testing.T, c *Client) {
	key, err := c.CreateAPIKey(ctx, &types.NewAPIKey{Name: "go-key", Role: "viewer", ExpiresIn: "1h"})
	must(t, "creating a key", err)
	if key.Key == "" {
		t.Error("the key is not told")
	}
	_, err = c.APIKeys(ctx, nil)
	must(t, "keys", err)
	_, err = c.DeleteAPIKey(ctx, key.ID)
	must(t, "deleting a key", err)
	_, err = c.User(ctx, "admin")
	must(t, "user", err)
	role := &types.Role{Name: "go-role", Permissions: []types.Permission{{Verb: "read", Resource: "apps"}}}
	_, err = c.CreateRole(ctx, role)
	must(t, "creating a role", err)
	_, err = c.UpdateRole(ctx, role)
	must(t, "updating a role", err)
	group := &types.Group{Name: "go-group", Roles: []string{"go-role"}, Members: []string{"admin"}}
	_, err = c.CreateGroup(ctx, group)
	must(t, "creating a group", err)
	_, err = c.UpdateGroup(ctx, group)
	must(t, "updating a group", err)
	_, err = c.DeleteGroup(ctx, "go-group")
	must(t, "deleting a group", err)
	_, err = c.DeleteRole(ctx, "go-role")
	must(t, "deleting a role", err)
	_, err = c.Audit(ctx, Query{"limit": "3"})
	must(t, "audit", err)
}

func changeApp(ctx context.Context, t *testing.T, c *Client, spec *types.Deployment) {
	created, err := c.CreateDeployment(ctx, &types.NewDeployment{AppName: spec.Name, Labels: map[string]string{"a": "b"}})
	must(t, "creating a deployment", err)
	_, err = c.GetDeployment(ctx, created.ID)
	must(t, "deployment", err)
	_, err = c.DeploymentStatus(ctx, created.ID)
	must(t, "deployment's status", err)
	_, err = c.UpdateService(ctx, "go-read", &types.ServiceUpdate{LoadBalancingStrategy: "least-connections"})
	must(t, "updating a service", err)
	_, err = c.Scale(ctx, spec.Name, 2)
	must(t, "scale", err)
	_, err = c.Restart(ctx, spec.Name)
	must(t, "restart", err)
}

func jobs(ctx context.Context, t *testing.T, c *Client) {
	job := &types.JobSpec{Name: "go-job", Image: "busybox", Command: []string{"sh", "-c", "echo hello; exec sleep 600"}, Schedule: "@yearly"}
	_, err := c.CreateJob(ctx, job)
	must(t, "creating a job", err)
	job.Suspended = true
	_, err = c.UpdateJob(ctx, job)
	must(t, "updating a job", err)
	_, err = c.ResumeJob(ctx, job.Name)
	must(t, "resuming a job", err)
	_, err = c.SuspendJob(ctx, job.Name)
	must(t, "suspending a job", err)
	found, err := c.Job(ctx, job.Name)
	must(t, "job", err)
	if !found.Suspended || found.Spec.Schedule != "@yearly" {
		t.Errorf("a job is %v", found)
	}
	page, err := c.Jobs(ctx, nil)
	must(t, "jobs", err)
	if page.Total == 0 {
		t.Error("no job is listed")
	}
	begun, err := c.TriggerJob(ctx, job.Name)
	must(t, "triggering a job", err)
	id := *begun.RunID
	lines, err := c.FollowRunLogs(ctx, job.Name, id, LogOptions{})
	must(t, "following a run", err)
	_, err = bufio.NewReader(lines).ReadString('\n')
	must(t, "a line of a run", err)
	must(t, "closing", lines.Close())
	if _, err = c.DeleteRun(ctx, job.Name, id); !IsConflict(err) {
		t.Errorf("deleting a run that goes on: %v", err)
	}
	_, err = c.StopRun(ctx, job.Name, id)
	must(t, "stopping a run", err)
	run, err := c.Run(ctx, job.Name, id)
	must(t, "run", err)
	if run.Status != "stopped" {
		t.Errorf("a stopped run is %v", run)
	}
	runs, err := c.Runs(ctx, job.Name, nil)
	must(t, "runs", err)
	if runs.Total != 1 {
		t.Errorf("runs are %v", runs)
	}
	_, err = c.RunLogs(ctx, job.Name, id, LogOptions{})
	must(t, "logs of a run", err)
	_, err = c.DeleteRun(ctx, job.Name, id)
	must(t, "deleting a run", err)
	_, err = c.DeleteJob(ctx, job.Name)
	must(t, "deleting a job", err)
}
