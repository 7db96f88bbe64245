// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Question is one line of input. README.md explains each field.
type Question struct {
	ID       string                       `json:"id"`
	Objects  []json.RawMessage            `json:"objects"`
	Clusters map[string][]json.RawMessage `json:"clusters"`
	Mesh     json.RawMessage              `json:"mesh"`
	Networks json.RawMessage              `json:"networks"`
	Clients  []Client                     `json:"clients"`
	Validate []json.RawMessage            `json:"validate"`
	Settings Settings                     `json:"settings"`
}

// Settings say what else to answer.
type Settings struct {
	Routes bool `json:"routes"` // retries
	Raw    bool `json:"raw"`    // the whole Envoy cluster
}

// Client is a proxy that connects to istiod.
type Client struct {
	Name      string         `json:"name"`
	Namespace string         `json:"namespace"`
	Pod       string         `json:"pod"`
	Type      string         `json:"type"`
	Address   string         `json:"address"`
	Metadata  map[string]any `json:"metadata"`
	Locality  string         `json:"locality"`
}

// Answer is one line of output.
type Answer struct {
	ID          string         `json:"id"`
	Clients     []ClientAnswer `json:"clients,omitempty"`
	Validations []Validation   `json:"validations,omitempty"`
	Notes       []string       `json:"notes,omitempty"`
	Error       string         `json:"error"`
}

// ClientAnswer is what istiod decides about one proxy and sends to it.
type ClientAnswer struct {
	Name     string            `json:"name"`
	Locality string            `json:"locality"`
	Labels   map[string]string `json:"labels"`
	Clusters []Cluster         `json:"clusters"`
	Retries  []Retry           `json:"retries,omitempty"`
	// Of every route and every chain of connections.
	Routes []Route `json:"routes,omitempty"`
	Chains []Route `json:"chains,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Cluster is one Envoy cluster with its endpoints.
type Cluster struct {
	Name                     string          `json:"name"`
	Type                     string          `json:"type"`
	Rule                     string          `json:"rule"`
	LbPolicy                 string          `json:"lb_policy"`
	LocalityWeighted         bool            `json:"locality_weighted"`
	ZoneAware                json.RawMessage `json:"zone_aware"`
	PanicThreshold           *float64        `json:"panic_threshold"`
	OutlierDetection         json.RawMessage `json:"outlier_detection"`
	MaxRequestsPerConnection *uint32         `json:"max_requests_per_connection"`
	ConnectTimeout           *string         `json:"connect_timeout"`
	Groups                   []Group         `json:"groups"`
	Raw                      json.RawMessage `json:"raw,omitempty"`
	Panic                    string          `json:"panic,omitempty"`
}

// Group is one LocalityLbEndpoints.
type Group struct {
	Region    string     `json:"region"`
	Zone      string     `json:"zone"`
	SubZone   string     `json:"sub_zone"`
	Priority  uint32     `json:"priority"`
	Weight    *uint32    `json:"weight"`
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is one LbEndpoint.
type Endpoint struct {
	Address string  `json:"address"`
	Health  string  `json:"health"`
	Weight  *uint32 `json:"weight"`
}

// Retry is the retry policy of one route to one cluster.
type Retry struct {
	Route              string   `json:"route"`
	VirtualHost        string   `json:"virtual_host"`
	Name               string   `json:"name"`
	Cluster            string   `json:"cluster"`
	NumRetries         *uint32  `json:"num_retries"`
	RetryOn            string   `json:"retry_on"`
	RetryPriority      *string  `json:"retry_priority"`
	RetryHostPredicate []string `json:"retry_host_predicate"`
}

// Validation is what istiod's webhook says about one object, and what the API server says by the schema of Istio's CRD.
type Validation struct {
	Schema   []string `json:"schema"`
	Errors   []string `json:"errors"`
	Warnings []string `json:"warnings"`
}

func decodeStrict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// origin names the function and line that panicked: the first frame below the runtime's.
func origin() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			file := frame.File[strings.LastIndex(frame.File, "/")+1:]
			return fmt.Sprintf(" [%s, %s:%d]", frame.Function, file, frame.Line)
		}
		if !more {
			return ""
		}
	}
}

func resident() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err.Error()
	}
	var told []string
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") {
			told = append(told, strings.Join(strings.Fields(line), " "))
		}
	}
	return fmt.Sprintf("%s, %d goroutines", strings.Join(told, ", "), runtime.NumGoroutine())
}
