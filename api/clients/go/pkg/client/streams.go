package client

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ao/hivemind/pkg/api/types"
)

// silence: a stream of events sends something every 15 s; after three times that its server is gone.
const silence = 45 * time.Second

// EventFilter says which events are wanted; empty: all. Since is the id of the last event that one has.
type EventFilter struct {
	Types     []string
	Resources []string
	Since     string
}

// Events calls on for every event that comes, until on answers an error, ctx ends, or no server can be reached.
// A broken stream is resumed where it broke off, at another server.
func (c *Client) Events(ctx context.Context, filter EventFilter, on func(types.Event) error) error {
	since := filter.Since
	attempts := c.attempts()
	for {
		server, place := c.server(), since
		query := eventQuery(filter)
		if since != "" {
			query.Set("since", since)
		}
		answer, failure, stopped := c.follow(ctx, server, query, &since, on)
		if stopped != nil {
			return stopped
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if since != place {
			attempts = c.attempts()
		}
		if refusal, is := failure.(*Error); is && !comeAgain(refusal.Status) {
			return failure
		}
		pause, again := attempts.pause(failure, answer, time.Now())
		if !again {
			return failure
		}
		c.leave(server)
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

func eventQuery(filter EventFilter) url.Values {
	query := url.Values{}
	if len(filter.Types) > 0 {
		query.Set("types", strings.Join(filter.Types, ","))
	}
	if len(filter.Resources) > 0 {
		query.Set("resources", strings.Join(filter.Resources, ","))
	}
	return query
}

// follow answers why the stream ended: failure for the connection's reasons, stopped for the caller's.
func (c *Client) follow(
	ctx context.Context, server string, query url.Values, since *string, on func(types.Event) error,
) (answer *http.Response, failure, stopped error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	answer, body, err := c.open(ctx, server, "/stream/events", query)
	if err != nil {
		return answer, err, nil
	}
	defer body.Close()
	reader := bufio.NewReader(body)
	event := types.Event{}
	var data []string
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return answer, err, nil
		}
		watchdog.Reset(silence)
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			*since = value
		case "event":
			event.Type = strings.Replace(value, ".", "_", 1)
		case "data":
			data = append(data, value)
		}
		if strings.TrimRight(line, "\r\n") != "" {
			continue
		}
		if len(data) > 0 {
			event.ID = *since
			if err := json.Unmarshal([]byte(strings.Join(data, "\n")), &event.Data); err != nil {
				return answer, nil, err
			}
			if err := on(event); err != nil {
				return answer, nil, err
			}
		}
		event, data = types.Event{}, nil
	}
}

// LogOptions says which lines are wanted. Tail: nil is all. Since and Until are RFC 3339 or unix seconds.
type LogOptions struct {
	Tail  *int
	Since string
	Until string
}

func (o LogOptions) query() url.Values {
	query := url.Values{}
	if o.Tail != nil {
		query.Set("tail", strconv.Itoa(*o.Tail))
	}
	if o.Since != "" {
		query.Set("since", o.Since)
	}
	if o.Until != "" {
		query.Set("until", o.Until)
	}
	return query
}

// Logs answers what a container wrote.
func (c *Client) Logs(ctx context.Context, containerID string, options LogOptions) (string, error) {
	var answer struct{ Logs string }
	err := c.Do(ctx, http.MethodGet, "/containers/"+part(containerID)+"/logs", options.query(), nil, &answer)
	return answer.Logs, err
}

// FollowLogs gives a container's lines as they are written; close it when done.
func (c *Client) FollowLogs(ctx context.Context, containerID string, options LogOptions) (io.ReadCloser, error) {
	query := options.query()
	query.Set("follow", "true")
	_, body, err := c.open(ctx, c.server(), "/containers/"+part(containerID)+"/logs", query)
	return body, err
}

// AppLogs answers what all replicas of an app wrote, each line with its container's name.
func (c *Client) AppLogs(ctx context.Context, name string, options LogOptions) (string, error) {
	var answer struct{ Logs string }
	err := c.Do(ctx, http.MethodGet, "/apps/"+part(name)+"/logs", options.query(), nil, &answer)
	return answer.Logs, err
}

// FollowAppLogs gives their lines as they are written; close it when done.
func (c *Client) FollowAppLogs(ctx context.Context, name string, options LogOptions) (io.ReadCloser, error) {
	query := options.query()
	query.Set("follow", "true")
	_, body, err := c.open(ctx, c.server(), "/apps/"+part(name)+"/logs", query)
	return body, err
}

// open begins a streamed answer.
func (c *Client) open(
	ctx context.Context, server, path string, query url.Values,
) (*http.Response, io.ReadCloser, error) {
	request, err := c.request(ctx, server, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, nil, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	if answer.StatusCode >= 400 {
		defer answer.Body.Close()
		content, err := io.ReadAll(answer.Body)
		if err != nil {
			return answer, nil, err
		}
		return answer, nil, errorOf(answer.StatusCode, content)
	}
	return answer, answer.Body, nil
}
