package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ao/hivemind/pkg/api/types"
)

// asked is what a server of a test was asked.
type asked struct {
	path, key, token string
}

func serve(t *testing.T, answer func(number int, w http.ResponseWriter, r *http.Request)) (string, *[]asked) {
	t.Helper()
	requests := &[]asked{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*requests = append(*requests, asked{r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization")})
		answer(len(*requests), w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

func good(_ int, w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, `{"success": true, "data": {"name": "web", "message": "done", "previous_replicas": 2}}`)
}

func bad(status int, code string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"success": false, "error": {"code": %q, "message": "no"}}`, code)
	}
}

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

func newClient(t *testing.T, servers ...string) *Client {
	t.Helper()
	t.Setenv("HIVEMIND_TOKEN", "secret")
	c, err := NewClient(strings.Join(servers, ","))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheTokenIsFound(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("HIVEMIND_TOKEN", "")
	if token, err := findToken(); token != "" || err != nil {
		t.Errorf("without any: %q %v", token, err)
	}
	if err := os.Mkdir(filepath.Join(home, ".hivemind"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".hivemind", "token"), []byte("kept\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token, _ := findToken(); token != "kept" {
		t.Errorf("kept by login: %q", token)
	}
	t.Setenv("HIVEMIND_TOKEN", "given")
	if token, _ := findToken(); token != "given" {
		t.Errorf("from the environment: %q", token)
	}
}

func TestAServerIsAURL(t *testing.T) {
	for _, wrong := range []string{"", "localhost:4483", "ftp://a", "http://"} {
		if _, err := NewClient(wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func TestAnErrorOfTheAPI(t *testing.T) {
	server, requests := serve(t, bad(404, "resource_not_found"))
	_, err := newClient(t, server).App(context.Background(), "a/b")
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Code != "resource_not_found" || !IsNotFound(err) {
		t.Errorf("got %v", err)
	}
	if (*requests)[0] != (asked{"/api/apps/a%2Fb", "", "Bearer secret"}) || len(*requests) != 1 {
		t.Errorf("asked %v", *requests)
	}
}

func TestAWriteGoesToTheNextServerWithTheSameKey(t *testing.T) {
	cut := func(_ int, w http.ResponseWriter, _ *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			connection.Close()
		}
	}
	for name, first := range map[string]func(int, http.ResponseWriter, *http.Request){
		"cut": cut, "busy": bad(503, "unavailable"), "unknown": bad(504, "timeout"),
	} {
		a, atA := serve(t, first)
		b, atB := serve(t, good)
		result, err := newClient(t, a, b).Scale(context.Background(), "web", 5)
		if err != nil || result.PreviousReplicas != 2 {
			t.Fatalf("%s: %v %v", name, result, err)
		}
		if key := (*atA)[0].key; key == "" || key != (*atB)[0].key || len(*atA) != 1 {
			t.Errorf("%s: keys %v and %v", name, *atA, *atB)
		}
	}
}

func TestWhereNobodyListensThereIsNothingToWaitFor(t *testing.T) {
	began := time.Now()
	_, err := newClient(t, nobody(t), nobody(t)).Apps(context.Background(), nil)
	if err == nil || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	server, _ := serve(t, good)
	if _, err := newClient(t, nobody(t), server).Restart(context.Background(), "web"); err != nil {
		t.Error(err)
	}
}

func TestRetriesEnd(t *testing.T) {
	server, requests := serve(t, bad(503, "unavailable"))
	c := newClient(t, server)
	c.SetRetryFor(300 * time.Millisecond)
	_, err := c.Apps(context.Background(), nil)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Status != 503 || len(*requests) < 2 {
		t.Errorf("%v after %d requests", err, len(*requests))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := newClient(t, server).Apps(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a deadline: %v", err)
	}
}

func TestEventsGoOnAtTheNextServer(t *testing.T) {
	frame := "id: e.1.0\n\nevent: %s\nid: %s\ndata: {\"id\": \"c\"}\n\n"
	a, atA := serve(t, func(number int, w http.ResponseWriter, r *http.Request) {
		if number == 1 {
			fmt.Fprintf(w, frame, "container.created", "e.5.0")
			return
		}
		bad(503, "unavailable")(number, w, r)
	})
	b, atB := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, frame, "container.health_changed", "e.6.0")
	})
	stop := errors.New("enough")
	var got []string
	filter := EventFilter{Types: []string{"container_created"}, Resources: []string{"app/web"}}
	err := newClient(t, a, b).Events(context.Background(), filter, func(event types.Event) error {
		got = append(got, event.ID+" "+event.Type)
		if len(got) == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || strings.Join(got, ",") != "e.5.0 container_created,e.6.0 container_health_changed" {
		t.Errorf("%v %v", got, err)
	}
	query := "resources=app%2Fweb&types=container_created"
	if (*atA)[0].path != "/api/stream/events?resources=app%2Fweb&types=container_created" ||
		(*atB)[0].path != "/api/stream/events?resources=app%2Fweb&since=e.5.0&types=container_created" {
		t.Errorf("asked %v and %v, not %s", *atA, *atB, query)
	}
}

func TestQuantities(t *testing.T) {
	var resources types.Resources
	for text, want := range map[string]types.Quantity{`"256M"`: "256M", "1024": "1024", "null": "", "1.5": "1.5"} {
		if err := json.Unmarshal([]byte(`{"memory": `+text+`}`), &resources); err != nil || resources.Memory != want {
			t.Errorf("%s: %q %v", text, resources.Memory, err)
		}
	}
	if err := json.Unmarshal([]byte(`{"memory": {}}`), &resources); err == nil {
		t.Error("an object was taken")
	}
}
