// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that moves only when told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

type world struct {
	*httptest.Server
	t     *testing.T
	clock *clock
	exits chan int
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{at: time.Unix(1_800_000_000, 0)}, exits: make(chan int, 1)}
	app := &server{version: "tianjin", instance: "pod-1", faults: newSwitchboard(w.clock.now), exit: func(code int) { w.exits <- code }}
	w.Server = httptest.NewServer(app.handler())
	t.Cleanup(func() { app.faults.clear(); w.Close() })
	return w
}

func (w *world) do(method, path string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequest(method, w.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (w *world) expect(method, path string, code int, body string) {
	w.t.Helper()
	gotCode, gotBody := w.do(method, path)
	if gotCode != code || !strings.Contains(gotBody, body) {
		w.t.Fatalf("%s %s: %d %q, expected %d and %q", method, path, gotCode, gotBody, code, body)
	}
}

const hello = "Hello version: tianjin, instance: pod-1\n"

func TestHelloAndHealth(t *testing.T) {
	w := start(t)
	if code, body := w.do("GET", "/hello"); code != 200 || body != hello {
		t.Fatalf("%d %q", code, body)
	}
	w.expect("GET", "/health", 200, "healthy")
	w.expect("GET", "/healthz", 200, "healthy")
	w.expect("GET", "/fault", 200, `"mode":"none"`)
	w.expect("GET", "/nothing", 404, "")
}

func TestStatusFaultSparesProbesAndIsLifted(t *testing.T) {
	w := start(t)
	w.expect("POST", "/fault?mode=status&code=502", 200, `"code":502`)
	w.expect("GET", "/hello", 502, "pod-1")
	w.expect("GET", "/health", 200, "healthy")
	w.expect("DELETE", "/fault", 200, `"mode":"none"`)
	w.expect("GET", "/hello", 200, hello)
}

func TestPercentIsExactAndCounted(t *testing.T) {
	w := start(t)
	w.expect("POST", "/fault?mode=status&percent=30", 200, `"percent":30`)
	failed := 0
	for range 100 {
		if code, _ := w.do("GET", "/hello"); code == 503 {
			failed++
		}
	}
	if failed != 30 {
		t.Fatalf("%d of 100 failed, expected 30", failed)
	}
	var state map[string]any
	_, body := w.do("GET", "/fault")
	if err := json.Unmarshal([]byte(body), &state); err != nil {
		t.Fatal(err)
	}
	if state["requests_seen"] != 100.0 || state["requests_failed"] != 30.0 {
		t.Fatalf("%v", state)
	}
}

func TestFaultEndsByItself(t *testing.T) {
	w := start(t)
	w.expect("POST", "/fault?mode=status&seconds=10", 200, `"seconds_left":10`)
	w.clock.move(9 * time.Second)
	w.expect("GET", "/hello", 503, "")
	w.clock.move(time.Second)
	w.expect("GET", "/hello", 200, hello)
	w.expect("GET", "/fault", 200, `"mode":"none"`)
}

func TestDelay(t *testing.T) {
	w := start(t)
	w.expect("POST", "/fault?mode=delay&ms=80", 200, `"ms":80`)
	begin := time.Now()
	w.expect("GET", "/hello", 200, hello)
	if took := time.Since(begin); took < 80*time.Millisecond {
		t.Fatalf("answered after %v", took)
	}
}

func TestHangEndsWithTheClientOrTheFault(t *testing.T) {
	w := start(t)
	w.expect("POST", "/fault?mode=hang", 200, `"mode":"hang"`)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", w.URL+"/hello", nil)
	if _, err := w.Client().Do(req); err == nil {
		t.Fatal("a hanging server answered")
	}
	answered := make(chan string)
	go func() {
		resp, err := w.Client().Get(w.URL + "/hello")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answered <- string(body)
	}()
	select {
	case got := <-answered:
		t.Fatalf("answered while hanging: %q", got)
	case <-time.After(100 * time.Millisecond):
	}
	w.expect("DELETE", "/fault", 200, "")
	select {
	case got := <-answered:
		if got != hello {
			t.Fatal(got)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still hanging after DELETE /fault")
	}
}

func TestExitAnswersFirst(t *testing.T) {
	w := start(t)
	w.expect("POST", "/fault?mode=exit&exitcode=3", 202, `"exitcode":3`)
	select {
	case code := <-w.exits:
		if code != 3 {
			t.Fatalf("exit code %d", code)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("did not exit")
	}
}

func TestBadInputIsRefusedWithTheReasonAndChangesNothing(t *testing.T) {
	w := start(t)
	w.expect("POST", "/fault?mode=status&code=500", 200, "")
	for query, reason := range map[string]string{
		"":                              `mode "" is not one of status, delay, hang, exit`,
		"mode=burn":                     `mode "burn" is not one of`,
		"mode=status&code=999":          `code "999" is not a whole number from 200 to 599`,
		"mode=status&code=abc":          `code "abc"`,
		"mode=status&percent=0":         `percent "0" is not a whole number from 1 to 100`,
		"mode=status&seconds=1.5":       `seconds "1.5"`,
		"mode=delay":                    `needs ms`,
		"mode=delay&ms=-5":              `ms "-5"`,
		"mode=hang&ms=5":                `mode hang takes no parameter "ms", only percent, seconds`,
		"mode=exit&percent=5":           `mode exit takes no parameter "percent"`,
		"mode=status&code=500&code=501": `code is given 2 times`,
	} {
		w.expect("POST", "/fault?"+query, 400, reason)
	}
	w.expect("GET", "/fault", 200, `"code":500`)
	w.expect("PUT", "/fault", 405, "")
}
