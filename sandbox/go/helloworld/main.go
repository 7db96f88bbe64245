// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// helloworld answers like Istio's sample of that name, and fails on demand.
//
//	GET    /hello                                   Hello version: v1, instance: <host name>
//	GET    /health, /healthz                        always 200: a fault is what clients see, not the probes
//	POST   /fault?mode=status&code=503[&percent=50][&seconds=10]
//	POST   /fault?mode=delay&ms=2000[&percent=][&seconds=]
//	POST   /fault?mode=hang[&percent=][&seconds=]
//	POST   /fault?mode=exit[&exitcode=1]            the process ends; its container is restarted
//	GET    /fault                                   what is active, as JSON
//	DELETE /fault                                   healthy again
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type server struct {
	version  string
	instance string
	faults   *switchboard
	exit     func(code int)
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", s.hello)
	for _, path := range []string{"/health", "/healthz"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Helloworld is healthy") })
	}
	mux.HandleFunc("GET /fault", func(w http.ResponseWriter, _ *http.Request) { s.showFault(w, http.StatusOK) })
	mux.HandleFunc("POST /fault", s.setFault)
	mux.HandleFunc("DELETE /fault", func(w http.ResponseWriter, _ *http.Request) {
		s.faults.clear()
		s.showFault(w, http.StatusOK)
	})
	return mux
}

func (s *server) hello(w http.ResponseWriter, r *http.Request) {
	f, over, ends := s.faults.next()
	if f != nil {
		switch f.Mode {
		case modeStatus:
			http.Error(w, fmt.Sprintf("fault: status %d from %s", f.Code, s.instance), f.Code)
			return
		case modeDelay:
			if !wait(r.Context(), over, f.Delay) {
				return
			}
		case modeHang:
			if !hang(r.Context(), over, ends, s.faults.now()) {
				return
			}
		}
	}
	fmt.Fprintf(w, "Hello version: %s, instance: %s\n", s.version, s.instance)
}

// wait returns after the delay or when the fault is lifted; false when the client is gone.
func wait(ctx context.Context, over <-chan struct{}, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-ctx.Done():
		return false
	}
	return true
}

// hang returns when the fault is lifted or ends; false when the client is gone.
func hang(ctx context.Context, over <-chan struct{}, ends, now time.Time) bool {
	if !ends.IsZero() {
		return wait(ctx, over, ends.Sub(now))
	}
	select {
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *server) setFault(w http.ResponseWriter, r *http.Request) {
	f, err := parseFault(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if f.Mode == modeExit {
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, "{\"mode\":\"exit\",\"exitcode\":%d}\n", f.ExitCode)
		// The answer has to leave before the process does.
		time.AfterFunc(100*time.Millisecond, func() { s.exit(f.ExitCode) })
		return
	}
	s.faults.set(f)
	s.showFault(w, http.StatusOK)
}

func (s *server) showFault(w http.ResponseWriter, code int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(s.faults.state())
}

func main() {
	listen := flag.String("listen", ":5000", "address to listen on")
	flag.Parse()
	version := os.Getenv("SERVICE_VERSION")
	if version == "" {
		version = "v1"
	}
	instance, err := os.Hostname()
	if err != nil {
		log.Fatalf("helloworld: no host name: %v", err)
	}
	app := &server{version: version, instance: instance, faults: newSwitchboard(time.Now), exit: os.Exit}
	srv := &http.Server{Addr: *listen, Handler: app.handler(), ReadHeaderTimeout: 10 * time.Second}

	// As process 1 of a container nothing ends on SIGTERM by itself.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		app.faults.clear()
		bounded, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		srv.Shutdown(bounded)
	}()
	log.Printf("helloworld %s on %s, instance %s", version, *listen, instance)
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatalf("helloworld: %v", err)
	}
	<-ended
}
