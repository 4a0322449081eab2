package client

import (
	"context"
	"io"
	"net/http"

	"github.com/ao/hivemind/pkg/api/types"
)

// CreateJob makes a job; one without a schedule runs at once.
func (c *Client) CreateJob(ctx context.Context, job *types.JobSpec) (*types.JobAnswer, error) {
	return one[types.JobAnswer](ctx, c, post, "/jobs", job)
}

// UpdateJob replaces a job's spec, for the runs that begin from now on.
func (c *Client) UpdateJob(ctx context.Context, job *types.JobSpec) (*types.JobAnswer, error) {
	return one[types.JobAnswer](ctx, c, put, "/jobs/"+part(job.Name), job)
}

// Jobs lists the jobs.
func (c *Client) Jobs(ctx context.Context, query Query) (*Page[types.Job], error) {
	return list[types.Job](ctx, c, "/jobs", "jobs", query)
}

// Job answers one job with its spec.
func (c *Client) Job(ctx context.Context, name string) (*types.Job, error) {
	return one[types.Job](ctx, c, get, "/jobs/"+part(name), nil)
}

// DeleteJob deletes a job, its runs, and what they wrote.
func (c *Client) DeleteJob(ctx context.Context, name string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/jobs/"+part(name), nil)
}

// SuspendJob lets the schedule rest.
func (c *Client) SuspendJob(ctx context.Context, name string) (*types.JobAnswer, error) {
	return one[types.JobAnswer](ctx, c, post, "/jobs/"+part(name)+"/suspend", nil)
}

// ResumeJob obeys the schedule again.
func (c *Client) ResumeJob(ctx context.Context, name string) (*types.JobAnswer, error) {
	return one[types.JobAnswer](ctx, c, post, "/jobs/"+part(name)+"/resume", nil)
}

// TriggerJob begins one run now.
func (c *Client) TriggerJob(ctx context.Context, name string) (*types.JobAnswer, error) {
	return one[types.JobAnswer](ctx, c, post, "/jobs/"+part(name)+"/trigger", nil)
}

// Runs lists a job's runs, the newest first.
func (c *Client) Runs(ctx context.Context, job string, query Query) (*Page[types.Run], error) {
	return list[types.Run](ctx, c, "/jobs/"+part(job)+"/runs", "runs", query)
}

// Run answers one run with its containers.
func (c *Client) Run(ctx context.Context, job, id string) (*types.Run, error) {
	return one[types.Run](ctx, c, get, "/jobs/"+part(job)+"/runs/"+part(id), nil)
}

// StopRun ends a run; what it wrote is kept.
func (c *Client) StopRun(ctx context.Context, job, id string) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/jobs/"+part(job)+"/runs/"+part(id)+"/stop", nil)
}

// DeleteRun forgets a run that is over, and what it wrote.
func (c *Client) DeleteRun(ctx context.Context, job, id string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/jobs/"+part(job)+"/runs/"+part(id), nil)
}

// RunLogs answers what all attempts of a run wrote, each line with its container's name.
func (c *Client) RunLogs(ctx context.Context, job, id string, options LogOptions) (string, error) {
	var answer struct{ Logs string }
	err := c.Do(ctx, http.MethodGet, "/jobs/"+part(job)+"/runs/"+part(id)+"/logs", options.query(), nil, &answer)
	return answer.Logs, err
}

// FollowRunLogs gives their lines as they are written, until the run is over; close it when done.
func (c *Client) FollowRunLogs(ctx context.Context, job, id string, options LogOptions) (io.ReadCloser, error) {
	query := options.query()
	query.Set("follow", "true")
	_, body, err := c.open(ctx, c.server(), "/jobs/"+part(job)+"/runs/"+part(id)+"/logs", query)
	return body, err
}
