// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
	"istio.io/istio/pkg/util/sets"
)

// schemas are the Istio kinds that a mesh may have, without the Gateway API's.
var schemas = collections.Pilot

// epoch is when an object without a creation time was created; istiod's store in memory would take the present time, and
// rules for one host are ordered by it.
var epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// inventory is what one cluster has.
type inventory struct {
	namespaces corev1.NamespaceList
	nodes      corev1.NodeList
	pods       corev1.PodList
	services   corev1.ServiceList
	slices     discoveryv1.EndpointSliceList
	configs    []config.Config
	notes      []string
	routes     gatewayRoutes
}

// load sorts the objects of one cluster by kind. Every namespace that is named or lived in exists.
func load(objects []json.RawMessage, alsoNamespaces ...string) (*inventory, error) {
	in := &inventory{}
	lived := sets.New(alsoNamespaces...)
	for i, raw := range objects {
		namespace, err := in.add(raw)
		if err != nil {
			return nil, fmt.Errorf("objects[%d]: %w", i, err)
		}
		if namespace != "" {
			lived.Insert(namespace)
		}
	}
	for i := range in.namespaces.Items {
		lived.Delete(in.namespaces.Items[i].Name)
	}
	for _, name := range sets.SortedList(lived) {
		in.namespaces.Items = append(in.namespaces.Items, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{corev1.LabelMetadataName: name},
		}})
	}
	return in, nil
}

func (in *inventory) add(raw json.RawMessage) (namespace string, err error) {
	var kind metav1.TypeMeta
	if err := json.Unmarshal(raw, &kind); err != nil {
		return "", err
	}
	if namespace, done, err := in.routes.add(kind, raw); done || err != nil {
		return namespace, err
	}
	switch kind.Kind {
	case "Namespace":
		_, err = appended(raw, &in.namespaces.Items)
		return "", err
	case "Node":
		_, err = appended(raw, &in.nodes.Items)
		return "", err
	case "Pod":
		pod, err := appended(raw, &in.pods.Items)
		if err != nil {
			return "", err
		}
		settle(&pod.ObjectMeta)
		// istiod asks the API server for status.phase!=Failed; the fake client knows no field selectors.
		if pod.Status.Phase == corev1.PodFailed {
			in.pods.Items = in.pods.Items[:len(in.pods.Items)-1]
		}
		return pod.Namespace, nil
	case "Service":
		service, err := appended(raw, &in.services.Items)
		if err != nil {
			return "", err
		}
		settle(&service.ObjectMeta)
		return service.Namespace, nil
	case "EndpointSlice":
		slice, err := appended(raw, &in.slices.Items)
		if err != nil {
			return "", err
		}
		settle(&slice.ObjectMeta)
		return slice.Namespace, nil
	}
	converted, note, err := convert(raw)
	if err != nil {
		return "", err
	}
	if note != "" {
		in.notes = append(in.notes, note)
	}
	in.configs = append(in.configs, *converted)
	return converted.Namespace, nil
}

func appended[T any](raw json.RawMessage, items *[]T) (*T, error) {
	var item T
	if err := json.Unmarshal(raw, &item); err != nil {
		return nil, err
	}
	*items = append(*items, item)
	return &(*items)[len(*items)-1], nil
}

func settle(meta *metav1.ObjectMeta) {
	if meta.Namespace == "" {
		meta.Namespace = metav1.NamespaceDefault
	}
	if meta.CreationTimestamp.IsZero() {
		meta.CreationTimestamp = metav1.NewTime(epoch)
	}
}

// convert reads an Istio object as istiod's webhook and store do. The note says which unknown field istiod drops silently.
func convert(raw json.RawMessage) (*config.Config, string, error) {
	var object crd.IstioKind
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, "", err
	}
	kind := object.GroupVersionKind()
	schema, known := schemas.FindByGroupKind(resource.FromKubernetesGVK(&kind))
	if !known {
		return nil, "", fmt.Errorf("istiod's configuration has no kind %q of %q", kind.Kind, object.APIVersion)
	}
	settle(&object.ObjectMeta)
	converted, err := crd.ConvertObject(schema, &object, constants.DefaultClusterLocalDomain)
	if err != nil {
		return nil, "", fmt.Errorf("%s %s/%s: %w", kind.Kind, object.Namespace, object.Name, err)
	}
	note := ""
	if err := unknownFields(schema, &object); err != nil {
		note = fmt.Sprintf("%s %s/%s: %v", kind.Kind, object.Namespace, object.Name, err)
	}
	return converted, note, nil
}

// unknownFields is the error of reading the spec strictly.
func unknownFields(schema resource.Schema, object *crd.IstioKind) error {
	spec, err := schema.NewInstance()
	if err != nil {
		return err
	}
	written, err := json.Marshal(object.GetSpec())
	if err != nil {
		return err
	}
	return config.ApplyJSONStrict(spec, string(written))
}

func (in *inventory) pod(namespace, name string) *corev1.Pod {
	at := sort.Search(len(in.pods.Items), func(i int) bool {
		pod := &in.pods.Items[i]
		return pod.Namespace > namespace || (pod.Namespace == namespace && pod.Name >= name)
	})
	if at < len(in.pods.Items) && in.pods.Items[at].Namespace == namespace && in.pods.Items[at].Name == name {
		return &in.pods.Items[at]
	}
	return nil
}

// order gives the lists the order that an API server gives them.
func (in *inventory) order() {
	sort.Slice(in.pods.Items, func(i, j int) bool {
		a, b := &in.pods.Items[i], &in.pods.Items[j]
		return a.Namespace < b.Namespace || (a.Namespace == b.Namespace && a.Name < b.Name)
	})
}
