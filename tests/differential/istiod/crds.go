// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// crdFile is Istio's manifest of all CRDs; the build puts it next to the program.
const crdFile = "crd-all.gen.yaml"

// schemaJudge is how an API server judges objects of one kind and version.
type schemaJudge struct {
	structural *structuralschema.Structural
	schema     validation.SchemaCreateValidator
	rules      *cel.Validator
}

// crds reads the manifest when the first object is to be judged.
var crds = sync.OnceValues(func() (map[schema.GroupVersionKind]schemaJudge, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	manifest, err := os.ReadFile(filepath.Join(filepath.Dir(program), crdFile))
	if err != nil {
		return nil, err
	}
	found := map[schema.GroupVersionKind]schemaJudge{}
	decoder := kubeyaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 512*1024)
	for {
		var written apiextensionsv1.CustomResourceDefinition
		if err := decoder.Decode(&written); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", crdFile, err)
		}
		if written.Kind != "CustomResourceDefinition" {
			continue
		}
		if err := read(&written, found); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", crdFile, written.Name, err)
		}
	}
})

func read(written *apiextensionsv1.CustomResourceDefinition, into map[schema.GroupVersionKind]schemaJudge) error {
	var definition apiextensions.CustomResourceDefinition
	err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(
		written, &definition, nil)
	if err != nil {
		return err
	}
	for _, version := range definition.Spec.Versions {
		described := version.Schema
		if described == nil {
			described = definition.Spec.Validation
		}
		if described == nil {
			return errors.New("no schema")
		}
		judge, _, err := validation.NewSchemaValidator(described.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		structural, err := structuralschema.NewStructural(described.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		kind := schema.GroupVersionKind{
			Group: definition.Spec.Group, Version: version.Name, Kind: definition.Spec.Names.Kind,
		}
		into[kind] = schemaJudge{structural, judge, cel.NewValidator(structural, true, celconfig.PerCallLimit)}
	}
	return nil
}

// refusals is what an API server with Istio's CRDs would say against an object before istiod's webhook is asked: the schema,
// unknown fields (kubectl has them refused), and the schema's rules, as in its code: rules only for what the schema accepts.
func refusals(raw json.RawMessage) ([]string, error) {
	known, err := crds()
	if err != nil {
		return nil, err
	}
	var object map[string]any
	// Whole numbers are int64, as in an API server.
	if err := kubejson.Unmarshal(raw, &object); err != nil {
		return nil, err
	}
	version, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	asked := schema.FromAPIVersionAndKind(version, kind)
	judge, found := known[asked]
	if !found {
		return []string{fmt.Sprintf("no CRD has %s", asked)}, nil
	}
	defaulting.Default(object, judge.structural)
	unknown := pruning.PruneWithOptions(
		object, judge.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	told := []string{}
	for _, path := range unknown {
		if !strings.HasPrefix(path, "metadata.") {
			told = append(told, fmt.Sprintf("unknown field %q", path))
		}
	}
	broken := validation.ValidateCustomResource(nil, object, judge.schema)
	broken = append(broken, listtype.ValidateListSetsAndMaps(nil, judge.structural, object)...)
	if len(broken) == 0 {
		var more field.ErrorList
		more, _ = judge.rules.Validate(
			context.Background(), nil, judge.structural, object, nil, celconfig.RuntimeCELCostBudget)
		broken = append(broken, more...)
	}
	for _, one := range broken {
		told = append(told, one.Error())
	}
	return told, nil
}
