// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The ways to fail.
const (
	modeStatus = "status" // answer with a status code
	modeDelay  = "delay"  // answer late
	modeHang   = "hang"   // never answer, until the fault ends or the client gives up
	modeExit   = "exit"   // end the process, once, now
)

// allowed lists the parameters of each mode besides "mode" itself.
var allowed = map[string][]string{
	modeStatus: {"code", "percent", "seconds"},
	modeDelay:  {"ms", "percent", "seconds"},
	modeHang:   {"percent", "seconds"},
	modeExit:   {"exitcode"},
}

// fault is how /hello misbehaves.
type fault struct {
	Mode     string
	Code     int           // status: the code to answer with
	Delay    time.Duration // delay: how late
	Percent  int           // share of the requests concerned, 1 to 100
	Lasts    time.Duration // how long the fault stays; 0 is until DELETE /fault
	ExitCode int           // exit: the process's exit code
}

// parseFault reads a fault from a query such as mode=status&code=503&percent=50&seconds=10.
// The error is a sentence for the person who asked.
func parseFault(query url.Values) (fault, error) {
	f := fault{Mode: query.Get("mode"), Code: 503, Percent: 100, ExitCode: 1}
	params, known := allowed[f.Mode]
	if !known {
		return f, fmt.Errorf("mode %q is not one of status, delay, hang, exit", f.Mode)
	}
	for name, values := range query {
		if len(values) != 1 {
			return f, fmt.Errorf("%s is given %d times", name, len(values))
		}
		if name != "mode" && !slices.Contains(params, name) {
			return f, fmt.Errorf("mode %s takes no parameter %q, only %s", f.Mode, name, strings.Join(params, ", "))
		}
	}
	if f.Mode == modeDelay && !query.Has("ms") {
		return f, fmt.Errorf("mode delay needs ms, the delay in milliseconds")
	}
	var millis, seconds int
	for _, number := range []struct {
		name     string
		into     *int
		min, max int
	}{
		{"code", &f.Code, 200, 599},
		{"ms", &millis, 1, 600_000},
		{"percent", &f.Percent, 1, 100},
		{"seconds", &seconds, 1, 86_400},
		{"exitcode", &f.ExitCode, 0, 255},
	} {
		if !query.Has(number.name) {
			continue
		}
		value, err := strconv.Atoi(query.Get(number.name))
		if err != nil || value < number.min || value > number.max {
			return f, fmt.Errorf("%s %q is not a whole number from %d to %d", number.name, query.Get(number.name), number.min, number.max)
		}
		*number.into = value
	}
	f.Delay = time.Duration(millis) * time.Millisecond
	f.Lasts = time.Duration(seconds) * time.Second
	return f, nil
}

// switchboard holds the fault that is active now.
type switchboard struct {
	now func() time.Time

	mu      sync.Mutex
	active  *fault
	ends    time.Time     // zero: never by itself
	over    chan struct{} // closed when the active fault is replaced or cleared
	seen    int           // requests since the fault was set
	applied int           // of these, the ones it hit
}

func newSwitchboard(now func() time.Time) *switchboard { return &switchboard{now: now} }

func (s *switchboard) set(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	s.active, s.over = &f, make(chan struct{})
	s.seen, s.applied = 0, 0
	if f.Lasts > 0 {
		s.ends = s.now().Add(f.Lasts)
	}
}

func (s *switchboard) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
}

func (s *switchboard) drop() {
	if s.active != nil {
		close(s.over)
	}
	s.active, s.ends = nil, time.Time{}
}

func (s *switchboard) expire() {
	if s.active != nil && !s.ends.IsZero() && !s.now().Before(s.ends) {
		s.drop()
	}
}

// next counts one request and returns the fault it meets, or nil; with it, what is closed when the fault is lifted
// and when it ends by itself (zero: never). The hit requests are spread evenly: with percent=25 it is every fourth.
func (s *switchboard) next() (*fault, <-chan struct{}, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	if s.active == nil {
		return nil, nil, time.Time{}
	}
	s.seen++
	if s.seen*s.active.Percent/100 == (s.seen-1)*s.active.Percent/100 {
		return nil, nil, time.Time{}
	}
	s.applied++
	return s.active, s.over, s.ends
}

// state is the answer of GET /fault.
func (s *switchboard) state() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	type view struct {
		Mode        string   `json:"mode"`
		Code        int      `json:"code,omitempty"`
		DelayMillis int64    `json:"ms,omitempty"`
		Percent     int      `json:"percent,omitempty"`
		SecondsLeft *float64 `json:"seconds_left,omitempty"`
		Seen        int      `json:"requests_seen"`
		Applied     int      `json:"requests_failed"`
	}
	v := view{Mode: "none"}
	if f := s.active; f != nil {
		v = view{Mode: f.Mode, DelayMillis: f.Delay.Milliseconds(), Percent: f.Percent, Seen: s.seen, Applied: s.applied}
		if f.Mode == modeStatus {
			v.Code = f.Code
		}
		if !s.ends.IsZero() {
			left := s.ends.Sub(s.now()).Seconds()
			v.SecondsLeft = &left
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and strings only: cannot happen
	}
	return append(text, '\n')
}
