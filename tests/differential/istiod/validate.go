// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/go-multierror"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/schema/resource"
)

// validate is what istiod's webhook does with an object (pkg/webhooks/validation/server), and an error for an unknown field
// of its spec, which the webhook lets pass and kubectl or the API server does not. Before it come the CRD's own rules.
func validate(raw json.RawMessage) (told Validation) {
	told = Validation{Errors: []string{}, Warnings: []string{}, Schema: []string{}}
	err := guarded(func() (err error) {
		told.Schema, err = refusals(raw)
		return err
	})
	if err != nil {
		told.Schema = append(told.Schema, err.Error())
	}
	err = guarded(func() error {
		var object crd.IstioKind
		if err := json.Unmarshal(raw, &object); err != nil {
			return fmt.Errorf("cannot decode configuration: %w", err)
		}
		kind := object.GroupVersionKind()
		schema, known := schemas.FindByGroupKind(resource.FromKubernetesGVK(&kind))
		if !known {
			return fmt.Errorf("unrecognized type %v", kind)
		}
		converted, err := crd.ConvertObject(schema, &object, constants.DefaultClusterLocalDomain)
		if err != nil {
			return fmt.Errorf("error decoding configuration: %w", err)
		}
		warnings, err := schema.ValidateConfig(*converted)
		told.Errors = append(told.Errors, each(err)...)
		told.Warnings = append(told.Warnings, each(warnings)...)
		if err := unknownFields(schema, &object); err != nil {
			told.Errors = append(told.Errors, err.Error())
		}
		return nil
	})
	if err != nil {
		told.Errors = append(told.Errors, err.Error())
	}
	return told
}

// each is the single errors of a list of errors.
func each(err error) []string {
	if err == nil {
		return nil
	}
	var list *multierror.Error
	if !errors.As(err, &list) {
		return []string{err.Error()}
	}
	var told []string
	for _, one := range list.Errors {
		told = append(told, each(one)...)
	}
	return told
}
