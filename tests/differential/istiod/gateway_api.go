// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	_ "unsafe" // go:linkname

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	inferencev1 "sigs.k8s.io/gateway-api-inference-extension/api/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	networkingclient "istio.io/client-go/pkg/apis/networking/v1"
	"istio.io/istio/pilot/pkg/config/kube/gateway"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/kube/krt"
)

// gatewayRoutes are the routes of the Gateway API of one cluster, and the ServiceEntries that may be their parents.
type gatewayRoutes struct {
	http    []*gatewayv1.HTTPRoute
	grpc    []*gatewayv1.GRPCRoute
	entries []*networkingclient.ServiceEntry
}

// add reads a route, or a ServiceEntry once more. It says whether that was all there is to do with the object.
func (g *gatewayRoutes) add(kind metav1.TypeMeta, raw json.RawMessage) (namespace string, done bool, err error) {
	switch kind.Kind {
	case "HTTPRoute":
		item, err := appended(raw, &g.http)
		if err != nil {
			return "", true, err
		}
		settle(&(*item).ObjectMeta)
		return (*item).Namespace, true, nil
	case "GRPCRoute":
		item, err := appended(raw, &g.grpc)
		if err != nil {
			return "", true, err
		}
		settle(&(*item).ObjectMeta)
		return (*item).Namespace, true, nil
	case "ServiceEntry":
		item, err := appended(raw, &g.entries)
		if err != nil {
			return "", true, err
		}
		settle(&(*item).ObjectMeta)
	}
	return "", false, nil
}

func pointers[T any](items []T) []*T {
	found := make([]*T, len(items))
	for i := range items {
		found[i] = &items[i]
	}
	return found
}

// virtualServices is what istiod's controller of the Gateway API makes of the routes for Services and ServiceEntries.
// Gateways are not among the parents.
func (in *inventory) virtualServices(stop chan struct{}) []config.Config {
	if len(in.routes.http)+len(in.routes.grpc) == 0 {
		return nil
	}
	options := krt.NewOptionsBuilder(stop, "gateway-api", nil)
	inputs := gateway.RouteContextInputs{
		RouteParents:   gateway.BuildRouteParents(krt.NewStaticCollection[gateway.Gateway](nil, nil)),
		DomainSuffix:   constants.DefaultClusterLocalDomain,
		Services:       krt.NewStaticCollection(nil, pointers(in.services.Items)),
		Namespaces:     krt.NewStaticCollection(nil, pointers(in.namespaces.Items)),
		ServiceEntries: krt.NewStaticCollection(nil, in.routes.entries),
		InferencePools: krt.NewStaticCollection[*inferencev1.InferencePool](nil, nil),
	}
	http := gateway.HTTPRouteCollection(krt.NewStaticCollection(nil, in.routes.http), inputs, options)
	grpc := gateway.GRPCRouteCollection(krt.NewStaticCollection(nil, in.routes.grpc), inputs, options)
	found := []config.Config{}
	for _, collection := range mergedRoutes(http, grpc, options) {
		collection.WaitUntilSynced(stop)
		found = append(found, collection.List()...)
	}
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
