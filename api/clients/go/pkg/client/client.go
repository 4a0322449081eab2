// Package client asks a Hivemind cluster through its API.
//
//	c, err := client.NewClient("http://10.0.0.1:4483,http://10.0.0.2:4483")
//	result, err := c.Deploy(ctx, &types.Deployment{Name: "web", Image: "nginx:latest", Replicas: 2})
//
// It authenticates with the token in HIVEMIND_TOKEN, else with the one that `hivemind login` keeps in
// ~/.hivemind/token. A request that fails is tried again at the next server; writes carry an Idempotency-Key, so
// that asking again, also at another node, does them once.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	connectTimeout = 5 * time.Second
	requestTimeout = 30 * time.Second
	retryFor       = 10 * time.Second
	firstPause     = 100 * time.Millisecond
	longestPause   = 2 * time.Second
)

// Client asks one of its servers, and the next one when that fails. It may be used by many goroutines.
type Client struct {
	servers  []string
	token    string
	retryFor time.Duration
	http     *http.Client

	mutex sync.Mutex
	turn  int
}

// Error is an answer with "success": false.
type Error struct {
	Status  int
	Code    string
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (%d %s)", e.Message, e.Status, e.Code)
}

// IsNotFound says whether an error is the API's 404.
func IsNotFound(err error) bool {
	return isStatus(err, http.StatusNotFound)
}

// IsConflict says whether an error is the API's 409.
func IsConflict(err error) bool {
	return isStatus(err, http.StatusConflict)
}

func isStatus(err error, status int) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Status == status
}

// NewClient makes a client of one or more servers, whose URLs are separated by commas.
func NewClient(servers string) (*Client, error) {
	var urls []string
	for _, server := range strings.Split(servers, ",") {
		server = strings.TrimSuffix(strings.TrimRight(strings.TrimSpace(server), "/"), "/api")
		parsed, err := url.Parse(server)
		if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
			return nil, fmt.Errorf("expected a URL such as http://localhost:4483, got %q", server)
		}
		urls = append(urls, server)
	}
	token, err := findToken()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: connectTimeout}).DialContext
	return &Client{servers: urls, token: token, retryFor: retryFor, http: &http.Client{Transport: transport}}, nil
}

// SetToken makes the client use another token or API key.
func (c *Client) SetToken(token string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.token = token
}

// SetRetryFor says how long after a first failure a request is tried again; 0: not at all.
func (c *Client) SetRetryFor(duration time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.retryFor = duration
}

// findToken answers "" where there is none: what is public needs none.
func findToken() (string, error) {
	if token := strings.TrimSpace(os.Getenv("HIVEMIND_TOKEN")); token != "" {
		return token, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", nil
	}
	content, err := os.ReadFile(filepath.Join(home, ".hivemind", "token"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(content)), err
}

// Do sends any request; path is below /api. What the API answers as data is decoded into answer, if that is not nil.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	content, err := c.ask(ctx, method, path, query, body)
	if err != nil || answer == nil {
		return err
	}
	envelope := struct {
		Data any `json:"data"`
	}{answer}
	if err := json.Unmarshal(content, &envelope); err != nil {
		return fmt.Errorf("the answer to %s %s is not what was expected: %w", method, path, err)
	}
	return nil
}

// ask answers the body of a success.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, body any) ([]byte, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	attempts := c.attempts()
	for {
		server := c.server()
		answer, found, err := c.once(ctx, server, method, path, query, content, key)
		if err == nil && !comeAgain(found.StatusCode) {
			return answer, errorOf(found.StatusCode, answer)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pause, again := attempts.pause(err, found, time.Now())
		if !again {
			if err != nil {
				return nil, fmt.Errorf("%s: %w", server, err)
			}
			return nil, errorOf(found.StatusCode, answer)
		}
		c.leave(server)
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func (c *Client) once(
	ctx context.Context, server, method, path string, query url.Values, content []byte, key string,
) ([]byte, *http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := c.request(ctx, server, method, path, query, content)
	if err != nil {
		return nil, nil, err
	}
	if method != http.MethodGet {
		request.Header.Set("Idempotency-Key", key)
	}
	found, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer found.Body.Close()
	answer, err := io.ReadAll(found.Body)
	return answer, found, err
}

func (c *Client) request(
	ctx context.Context, server, method, path string, query url.Values, content []byte,
) (*http.Request, error) {
	address := server + "/api" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	return request, nil
}

func (c *Client) server() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.servers[c.turn]
}

// leave goes to the next server, unless another request has done so already.
func (c *Client) leave(server string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if server == c.servers[c.turn] {
		c.turn = (c.turn + 1) % len(c.servers)
	}
}

func errorOf(status int, content []byte) error {
	if status < 400 {
		return nil
	}
	var envelope struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(content, &envelope); err != nil || envelope.Error.Code == "" {
		return &Error{status, "not_json", fmt.Sprintf("the server answered %d", status)}
	}
	return &Error{status, envelope.Error.Code, envelope.Error.Message}
}

func newKey() (string, error) {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	return hex.EncodeToString(random), nil
}

func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func retryAfter(answer *http.Response) time.Duration {
	if answer == nil {
		return 0
	}
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
