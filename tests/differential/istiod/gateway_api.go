// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"strings"
	_ "unsafe" // go:linkname

	"go.uber.org/atomic"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	inferencev1 "sigs.k8s.io/gateway-api-inference-extension/api/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	networkingclient "istio.io/client-go/pkg/apis/networking/v1"
	"istio.io/istio/pilot/pkg/config/kube/gateway"
	"istio.io/istio/pilot/pkg/config/kube/gatewaycommon"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/kube/krt"
	"istio.io/istio/pkg/kube/kubetypes"
	"istio.io/istio/pkg/revisions"
	"istio.io/istio/pkg/slices"
)

const gatewayAPI = "gateway.networking.k8s.io/"

// gatewayRoutes are the objects of the Gateway API of one cluster, and the ServiceEntries that may be parents of routes.
type gatewayRoutes struct {
	http     []*gatewayv1.HTTPRoute
	grpc     []*gatewayv1.GRPCRoute
	tcp      []*tcpRoute
	tls      []*gatewayv1.TLSRoute
	gateways []*gatewayv1.Gateway
	classes  []*gatewayv1.GatewayClass
	grants   []*gatewayv1beta1.ReferenceGrant
	entries  []*networkingclient.ServiceEntry
}

func (g *gatewayRoutes) any() bool {
	return len(g.http)+len(g.grpc)+len(g.tcp)+len(g.tls)+len(g.gateways) > 0
}

// add reads a route, or a ServiceEntry once more. It says whether that was all there is to do with the object.
func (g *gatewayRoutes) add(kind metav1.TypeMeta, raw json.RawMessage) (namespace string, done bool, err error) {
	if kind.Kind == "ServiceEntry" {
		_, err := placed(raw, &g.entries, func(item *networkingclient.ServiceEntry) *metav1.ObjectMeta { return &item.ObjectMeta })
		return "", false, err
	}
	if !strings.HasPrefix(kind.APIVersion, gatewayAPI) {
		return "", false, nil
	}
	switch kind.Kind {
	case "HTTPRoute":
		namespace, err = placed(raw, &g.http, func(item *gatewayv1.HTTPRoute) *metav1.ObjectMeta { return &item.ObjectMeta })
	case "GRPCRoute":
		namespace, err = placed(raw, &g.grpc, func(item *gatewayv1.GRPCRoute) *metav1.ObjectMeta { return &item.ObjectMeta })
	case "TCPRoute":
		namespace, err = placed(raw, &g.tcp, func(item *tcpRoute) *metav1.ObjectMeta { return &item.ObjectMeta })
	case "TLSRoute":
		namespace, err = placed(raw, &g.tls, func(item *gatewayv1.TLSRoute) *metav1.ObjectMeta { return &item.ObjectMeta })
	case "Gateway":
		namespace, err = placed(raw, &g.gateways, func(item *gatewayv1.Gateway) *metav1.ObjectMeta { return &item.ObjectMeta })
	case "ReferenceGrant":
		namespace, err = placed(raw, &g.grants, func(item *gatewayv1beta1.ReferenceGrant) *metav1.ObjectMeta { return &item.ObjectMeta })
	case "GatewayClass":
		_, err = appended(raw, &g.classes)
	default:
		return "", false, nil
	}
	return namespace, true, err
}

// placed appends an object, and says in which namespace it is.
func placed[T any](raw json.RawMessage, items *[]*T, metaOf func(*T) *metav1.ObjectMeta) (string, error) {
	item, err := appended(raw, items)
	if err != nil {
		return "", err
	}
	meta := metaOf(*item)
	settle(meta)
	return meta.Namespace, nil
}

func pointers[T any](items []T) []*T {
	found := make([]*T, len(items))
	for i := range items {
		found[i] = &items[i]
	}
	return found
}

// ofGatewayAPI is what istiod's controller of the Gateway API makes of Gateways and routes: Istio's own Gateways and
// VirtualServices. No Secret is known to it, and of Services only those that the mesh discovers.
func (in *inventory) ofGatewayAPI(discovered kubetypes.DynamicObjectFilter, stop chan struct{}) []config.Config {
	if !in.routes.any() {
		return nil
	}
	options := krt.NewOptionsBuilder(stop, "gateway-api", nil)
	namespaces := krt.NewStaticCollection(nil, pointers(in.namespaces.Items))
	grants := gatewaycommon.BuildReferenceGrants(
		gatewaycommon.ReferenceGrantsCollection(krt.NewStaticCollection(nil, in.routes.grants), options))
	gateways := in.gateways(namespaces, grants, options)
	gateways.WaitUntilSynced(stop)
	services := slices.Filter(pointers(in.services.Items), func(item *corev1.Service) bool { return discovered.Filter(item) })
	inputs := gateway.RouteContextInputs{
		Grants:         grants,
		RouteParents:   gateway.BuildRouteParents(gateways),
		DomainSuffix:   constants.DefaultClusterLocalDomain,
		Services:       krt.NewStaticCollection(nil, services),
		Namespaces:     namespaces,
		ServiceEntries: krt.NewStaticCollection(nil, in.routes.entries),
		InferencePools: krt.NewStaticCollection[*inferencev1.InferencePool](nil, nil),
	}
	found := []config.Config{}
	for _, one := range gateways.List() {
		if one.Valid {
			found = append(found, *one.Config)
		}
	}
	http := gateway.HTTPRouteCollection(krt.NewStaticCollection(nil, in.routes.http), inputs, options)
	grpc := gateway.GRPCRouteCollection(krt.NewStaticCollection(nil, in.routes.grpc), inputs, options)
	tcp := gateway.TCPRouteCollection(krt.NewStaticCollection(nil, in.routes.tcp), inputs, options)
	tls := gateway.TLSRouteCollection(krt.NewStaticCollection(nil, in.routes.tls), inputs, options)
	collections := append(mergedRoutes(http, grpc, options), tcp.VirtualServices, tls.VirtualServices)
	for _, collection := range collections {
		collection.WaitUntilSynced(stop)
		found = append(found, collection.List()...)
	}
	return found
}

// gateways are the listeners of the Gateways, without those of ListenerSets.
func (in *inventory) gateways(
	namespaces krt.Collection[*corev1.Namespace], grants gatewaycommon.ReferenceGrants, options krt.OptionsBuilder,
) krt.Collection[gateway.Gateway] {
	// Of its push context only the status of a Gateway is made, which nobody reads here.
	context := gatewaycommon.NewGatewayContext(model.NewPushContext(), constants.DefaultClusterName)
	given := krt.NewStaticCollection(nil, in.routes.gateways)
	_, classes := gatewaycommon.GatewayClassesCollection(krt.NewStaticCollection(nil, in.routes.classes), options)
	conflicts := gatewaycommon.GatewayListenerConflictCollection(
		given,
		krt.NewStaticCollection[*gatewayv1.ListenerSet](nil, nil),
		namespaces,
		gatewaycommon.FetchGatewayClassFetcher(classes),
		options,
	)
	_, found := gateway.GatewayCollection(
		given,
		krt.NewStaticCollection[gateway.ListenerSet](nil, nil),
		conflicts,
		classes,
		namespaces,
		grants,
		krt.NewStaticCollection[*corev1.ConfigMap](nil, nil),
		krt.NewStaticCollection[*corev1.Secret](nil, nil),
		constants.DefaultClusterLocalDomain,
		krt.NewRecomputeProtected(atomic.NewPointer(&context), true),
		krt.RecomputeProtected[revisions.TagWatcher]{},
		options,
	)
	return found
}

//go:linkname mergeHTTPRoutes istio.io/istio/pilot/pkg/config/kube/gateway.mergeHTTPRoutes
func mergeHTTPRoutes(base krt.Collection[gateway.RouteWithKey], options ...krt.CollectionOption) krt.Collection[config.Config]

// mergedRoutes merges HTTPRoutes and GRPCRoutes for one host, as the controller does.
func mergedRoutes(
	http gateway.RouteResult[*gatewayv1.HTTPRoute, gatewayv1.HTTPRouteStatus],
	grpc gateway.RouteResult[*gatewayv1.GRPCRoute, gatewayv1.GRPCRouteStatus],
	options krt.OptionsBuilder,
) []krt.Collection[config.Config] {
	both := krt.JoinCollection([]krt.Collection[gateway.RouteWithKey]{
		http.BaseVirtualServices, grpc.BaseVirtualServices,
	}, options.WithName("both")...)
	return []krt.Collection[config.Config]{mergeHTTPRoutes(both, options.WithName("merged")...)}
}
