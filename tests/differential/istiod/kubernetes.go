// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	typeddiscoveryv1 "k8s.io/client-go/kubernetes/typed/discovery/v1"

	"istio.io/istio/pkg/cluster"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/kube/informerfactory"
	"istio.io/istio/pkg/kube/kubetypes"
)

// client is the Kubernetes client of one cluster: it lists the inventory and then watches a cluster in which nothing happens
// and in which no CRD is known. Istio's own fake client does more and costs ten times as much to make; whatever is not
// written here is not used by the registries, and would panic.
type client struct {
	kube.Client
	id        cluster.ID
	in        *inventory
	informers informerfactory.InformerFactory
	filter    kubetypes.DynamicObjectFilter
}

func newClient(id cluster.ID, in *inventory) *client {
	return &client{id: id, in: in, informers: informerfactory.NewSharedInformerFactory()}
}

func (c *client) Kube() kubernetes.Interface                  { return api{in: c.in} }
func (c *client) Informers() informerfactory.InformerFactory  { return c.informers }
func (c *client) CrdWatcher() kubetypes.CrdWatcher            { return noCRDs{} }
func (c *client) ObjectFilter() kubetypes.DynamicObjectFilter { return c.filter }
func (c *client) ClusterID() cluster.ID                       { return c.id }
func (c *client) IsWatchListSemanticsUnSupported() bool       { return true }
func (c *client) Shutdown()                                   { c.informers.Shutdown() }

func (c *client) RunAndWait(stop <-chan struct{}) bool {
	c.informers.Start(stop)
	at := make(chan struct{})
	close(at)
	for !c.informers.WaitForCacheSync(at) {
		select {
		case <-stop:
			return false
		case <-time.After(50 * time.Microsecond):
		}
	}
	return true
}

type noCRDs struct{}

func (noCRDs) HasSynced() bool { return true }
func (noCRDs) KnownOrCallback(schema.GroupVersionResource, func(stop <-chan struct{})) bool {
	return false
}
func (noCRDs) WaitForCRD(schema.GroupVersionResource, <-chan struct{}) bool { return false }
func (noCRDs) Run(<-chan struct{})                                          {}

type api struct {
	kubernetes.Interface
	in *inventory
}

func (a api) CoreV1() typedcorev1.CoreV1Interface                { return coreV1{in: a.in} }
func (a api) DiscoveryV1() typeddiscoveryv1.DiscoveryV1Interface { return discoveryV1{in: a.in} }

type coreV1 struct {
	typedcorev1.CoreV1Interface
	in *inventory
}

type discoveryV1 struct {
	typeddiscoveryv1.DiscoveryV1Interface
	in *inventory
}

func (c coreV1) Namespaces() typedcorev1.NamespaceInterface       { return namespaces{in: c.in} }
func (c coreV1) Nodes() typedcorev1.NodeInterface                 { return nodes{in: c.in} }
func (c coreV1) Pods(string) typedcorev1.PodInterface             { return pods{in: c.in} }
func (c coreV1) Services(string) typedcorev1.ServiceInterface     { return services{in: c.in} }
func (c coreV1) Secrets(string) typedcorev1.SecretInterface       { return secrets{} }
func (c coreV1) ConfigMaps(string) typedcorev1.ConfigMapInterface { return configMaps{} }

func (c discoveryV1) EndpointSlices(string) typeddiscoveryv1.EndpointSliceInterface {
	return endpointSlices{in: c.in}
}

type (
	namespaces struct {
		typedcorev1.NamespaceInterface
		quiet
		in *inventory
	}
	nodes struct {
		typedcorev1.NodeInterface
		quiet
		in *inventory
	}
	pods struct {
		typedcorev1.PodInterface
		quiet
		in *inventory
	}
	services struct {
		typedcorev1.ServiceInterface
		quiet
		in *inventory
	}
	secrets struct {
		typedcorev1.SecretInterface
		quiet
	}
	configMaps struct {
		typedcorev1.ConfigMapInterface
		quiet
	}
	endpointSlices struct {
		typeddiscoveryv1.EndpointSliceInterface
		quiet
		in *inventory
	}
)

func (k namespaces) List(context.Context, metav1.ListOptions) (*corev1.NamespaceList, error) {
	return &k.in.namespaces, nil
}

func (k nodes) List(context.Context, metav1.ListOptions) (*corev1.NodeList, error) {
	return &k.in.nodes, nil
}

func (k pods) List(context.Context, metav1.ListOptions) (*corev1.PodList, error) {
	return &k.in.pods, nil
}

func (k services) List(context.Context, metav1.ListOptions) (*corev1.ServiceList, error) {
	return &k.in.services, nil
}

func (k secrets) List(context.Context, metav1.ListOptions) (*corev1.SecretList, error) {
	return &corev1.SecretList{}, nil
}

func (k configMaps) List(context.Context, metav1.ListOptions) (*corev1.ConfigMapList, error) {
	return &corev1.ConfigMapList{}, nil
}

func (k endpointSlices) List(context.Context, metav1.ListOptions) (*discoveryv1.EndpointSliceList, error) {
	return &k.in.slices, nil
}

func (k namespaces) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return k.quiet.watch()
}
func (k nodes) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return k.quiet.watch()
}
func (k pods) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return k.quiet.watch()
}
func (k services) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return k.quiet.watch()
}
func (k secrets) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return k.quiet.watch()
}
func (k configMaps) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return k.quiet.watch()
}
func (k endpointSlices) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return k.quiet.watch()
}

// quiet is a watch that never tells anything.
type quiet struct{}

func (quiet) watch() (watch.Interface, error) { return watch.NewFake(), nil }
