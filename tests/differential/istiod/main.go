// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The istiod oracle: runs istiod's own code in process and says, for meshes read from stdin, what istiod would tell each
// client's Envoy. The protocol is in README.md.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"k8s.io/klog/v2"

	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pkg/kube/krt"
	"istio.io/istio/pkg/log"
)

// istioVersion is what proxies tell istiod; the linker stamps it.
var istioVersion = "unknown"

func main() {
	workers := flag.Int("workers", runtime.NumCPU(), "meshes computed at the same time")
	level := flag.String("log", "none", "what istiod logs to stderr: none, error, warn, info, debug")
	memory := flag.Bool("memory", false, "print the resident memory to stderr at the end")
	flag.Parse()
	if err := prepare(*level); err != nil {
		fmt.Fprintln(os.Stderr, "istiod-oracle:", err)
		os.Exit(2)
	}
	err := serve(os.Stdin, os.Stdout, *workers)
	if *memory {
		fmt.Fprintln(os.Stderr, resident())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "istiod-oracle:", err)
		os.Exit(1)
	}
}

// prepare sets what istiod keeps per process: no log on stdout, no XDS cache (unless the environment asks for one: answers
// must not depend on what was asked before), and no register of krt collections, which would keep every mesh alive.
func prepare(level string) error {
	// A mesh lives for milliseconds; with Go's default the collector would run for half of the time.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	options := log.DefaultOptions()
	options.OutputPaths = []string{"stderr"}
	levels := map[string]log.Level{
		"none": log.NoneLevel, "error": log.ErrorLevel, "warn": log.WarnLevel, "info": log.InfoLevel, "debug": log.DebugLevel,
	}
	wanted, known := levels[level]
	if !known {
		return fmt.Errorf("-log %s is not one of none, error, warn, info, debug", level)
	}
	if err := log.Configure(options); err != nil {
		return err
	}
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(wanted)
	}
	if level == "none" {
		klog.SetLogger(klog.New(nil))
	}
	if _, asked := os.LookupEnv("PILOT_ENABLE_XDS_CACHE"); !asked {
		features.EnableXDSCaching = false
	}
	krt.GlobalDebugHandler = nil
	return nil
}

// serve answers every line of input with one line, in the order in which they get ready.
func serve(input io.Reader, output io.Writer, workers int) error {
	lines := make(chan []byte)
	answers := make(chan []byte)
	var working sync.WaitGroup
	for range max(workers, 1) {
		working.Add(1)
		go func() {
			defer working.Done()
			for line := range lines {
				answers <- respond(line)
			}
		}()
	}
	writing := make(chan error, 1)
	go func() {
		buffered := bufio.NewWriterSize(output, 1<<20)
		var failed error
		for answer := range answers {
			if failed != nil {
				continue
			}
			_, failed = buffered.Write(append(answer, '\n'))
			if failed == nil {
				// Whoever asks may wait for this very answer.
				failed = buffered.Flush()
			}
		}
		writing <- failed
	}()
	reader := bufio.NewReaderSize(input, 1<<20)
	var unreadable error
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 1 {
			lines <- line
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				unreadable = err
			}
			break
		}
	}
	close(lines)
	working.Wait()
	close(answers)
	return errors.Join(unreadable, <-writing)
}

// respond is one line's answer. What panics in istiod is the mesh's error, not the end of the process.
func respond(line []byte) []byte {
	var question Question
	answer := Answer{}
	if err := decodeStrict(line, &question); err != nil {
		answer.ID, answer.Error = question.ID, "input: "+err.Error()
	} else {
		answer = ask(question)
	}
	encoded, err := json.Marshal(answer)
	if err != nil {
		encoded, _ = json.Marshal(Answer{ID: question.ID, Error: "output: " + err.Error()})
	}
	return encoded
}

func ask(question Question) (answer Answer) {
	answer.ID = question.ID
	if question.Validate != nil {
		answer.Validations = make([]Validation, len(question.Validate))
		for i, object := range question.Validate {
			answer.Validations[i] = validate(object)
		}
	}
	if question.Clients == nil {
		return answer
	}
	answer.Clients, answer.Notes, answer.Error = answerMesh(question)
	return answer
}

// guarded runs f and returns its error, or its panic as an error that names the place in istiod.
func guarded(f func() error) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("panic: %v%s", caught, origin())
		}
	}()
	return f()
}
