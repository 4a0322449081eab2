package client

import (
	"errors"
	"math/rand"
	"net"
	"net/http"
	"time"
)

// comeAgain: nothing was done, or (504) what was done is told to who asks again with the same key.
func comeAgain(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// attempts decides whether one request is tried again, and after how long. Retrying ends some time after the first
// failure; where every server refuses connections from the start there is nothing to wait for.
type attempts struct {
	servers         int
	retryFor        time.Duration
	deadline        time.Time
	failures        int
	notOnlyRefusals bool
}

func (c *Client) attempts() *attempts {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return &attempts{servers: len(c.servers), retryFor: c.retryFor}
}

func (a *attempts) pause(err error, answer *http.Response, now time.Time) (time.Duration, bool) {
	if a.deadline.IsZero() {
		a.deadline = now.Add(a.retryFor)
	}
	a.failures++
	if refused(err) && !a.notOnlyRefusals {
		return 0, a.failures < a.servers
	}
	a.notOnlyRefusals = true
	if err != nil && a.failures < a.servers {
		return 0, now.Before(a.deadline)
	}
	doublings := a.failures - 1
	if doublings > 10 {
		doublings = 10
	}
	pause := firstPause << doublings
	if pause > longestPause {
		pause = longestPause
	}
	pause = time.Duration(float64(pause) * (0.5 + rand.Float64()/2))
	if asked := retryAfter(answer); asked > pause {
		pause = asked
	}
	return pause, !now.Add(pause).After(a.deadline)
}

// refused says whether there was no connection, so that nothing was asked.
func refused(err error) bool {
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "dial"
}
