// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"sort"
	"strings"

	envoycore "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	envoylistener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	envoyroute "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	envoyfault "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	envoytcp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	envoytype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pkg/util/sets"
)

const faultFilter = "envoy.filters.http.fault"

// Route is one route of a virtual host, or one filter chain of a listener, as far as it decides where requests go.
type Route struct {
	Configuration string   `json:"configuration"`
	VirtualHost   string   `json:"virtual_host"`
	Domains       []string `json:"domains"`
	Path          string   `json:"path"`
	Text          string   `json:"text"`
	Headers       []string `json:"headers"`
	Query         []string `json:"query"`
	Claims        int      `json:"claims"`
	Clusters      []Weight `json:"clusters"`
	Redirect      uint32   `json:"redirect"`
	Direct        uint32   `json:"direct"`
	Missing       uint32   `json:"missing"`
	Timeout       float64  `json:"timeout"`
	PerTry        float64  `json:"per_try"`
	Retry         Retry    `json:"retry"`
	Abort         float64  `json:"abort"`
	AbortStatus   uint32   `json:"abort_status"`
	Delayed       float64  `json:"delayed"`
	Delay         float64  `json:"delay"`
	Mirrors       []Weight `json:"mirrors"`
}

// Weight is a cluster and its part of the requests.
type Weight struct {
	Cluster string  `json:"cluster"`
	Weight  float64 `json:"weight"`
}

// routesOf is every route of the client's RDS, in Envoy's order, and the chains of its listeners that carry connections.
func (s *istiod) routesOf(proxy *model.Proxy) ([]Route, []Route, error) {
	listeners := s.generator.BuildListeners(proxy, s.push)
	// Listeners of the pods of a headless Service share a configuration.
	names := sets.SortedList(sets.New(core.ExtractRoutesFromListeners(listeners)...))
	resources, _ := s.generator.BuildHTTPRoutes(proxy, fullPush(s.push), names)
	http := []Route{}
	for _, resource := range resources {
		configuration := &envoyroute.RouteConfiguration{}
		if err := resource.Resource.UnmarshalTo(configuration); err != nil {
			return nil, nil, fmt.Errorf("route %s: %w", resource.Name, err)
		}
		for _, host := range configuration.GetVirtualHosts() {
			for _, route := range host.GetRoutes() {
				described, err := describeRoute(configuration.GetName(), host, route)
				if err != nil {
					return nil, nil, err
				}
				http = append(http, described)
			}
		}
	}
	chains, err := chainsOf(listeners)
	return http, chains, err
}

func describeRoute(configuration string, host *envoyroute.VirtualHost, route *envoyroute.Route) (Route, error) {
	match := route.GetMatch()
	told := Route{
		Configuration: configuration, VirtualHost: host.GetName(), Domains: host.GetDomains(),
		Headers: []string{}, Query: []string{}, Claims: len(match.GetDynamicMetadata()), Clusters: []Weight{},
		Mirrors: []Weight{},
	}
	switch path := match.GetPathSpecifier().(type) {
	case *envoyroute.RouteMatch_Prefix:
		told.Path, told.Text = "prefix", path.Prefix
	case *envoyroute.RouteMatch_PathSeparatedPrefix:
		told.Path, told.Text = "prefix", path.PathSeparatedPrefix
	case *envoyroute.RouteMatch_Path:
		told.Path, told.Text = "exact", path.Path
	case *envoyroute.RouteMatch_SafeRegex:
		told.Path, told.Text = "regex", path.SafeRegex.GetRegex()
	}
	for _, header := range match.GetHeaders() {
		sign := ""
		if header.GetInvertMatch() {
			sign = "-"
		}
		told.Headers = append(told.Headers, sign+header.GetName())
	}
	sort.Strings(told.Headers)
	for _, parameter := range match.GetQueryParameters() {
		told.Query = append(told.Query, parameter.GetName())
	}
	sort.Strings(told.Query)
	told.Redirect = 0
	if redirect := route.GetRedirect(); redirect != nil {
		told.Redirect = redirectCodes[redirect.GetResponseCode()]
	}
	told.Direct = route.GetDirectResponse().GetStatus()
	if err := told.addFault(route.GetTypedPerFilterConfig()[faultFilter]); err != nil {
		return told, err
	}
	action := route.GetRoute()
	if action == nil {
		return told, nil
	}
	if name := action.GetCluster(); name != "" {
		told.Clusters = append(told.Clusters, Weight{name, 1})
	}
	for _, one := range action.GetWeightedClusters().GetClusters() {
		told.Clusters = append(told.Clusters, Weight{one.GetName(), float64(one.GetWeight().GetValue())})
	}
	told.Missing = 503
	if action.GetClusterNotFoundResponseCode() == envoyroute.RouteAction_INTERNAL_SERVER_ERROR {
		told.Missing = 500
	}
	told.Timeout = action.GetTimeout().AsDuration().Seconds()
	policy := action.GetRetryPolicy()
	if policy == nil {
		policy = host.GetRetryPolicy()
	}
	told.Retry = retryOf(configuration, host.GetName(), route.GetName(), "", policy)
	told.PerTry = policy.GetPerTryTimeout().AsDuration().Seconds()
	for _, one := range action.GetRequestMirrorPolicies() {
		told.Mirrors = append(told.Mirrors, Weight{one.GetCluster(), share(one.GetRuntimeFraction().GetDefaultValue())})
	}
	return told, nil
}

var redirectCodes = map[envoyroute.RedirectAction_RedirectResponseCode]uint32{
	envoyroute.RedirectAction_MOVED_PERMANENTLY:  301,
	envoyroute.RedirectAction_FOUND:              302,
	envoyroute.RedirectAction_SEE_OTHER:          303,
	envoyroute.RedirectAction_TEMPORARY_REDIRECT: 307,
	envoyroute.RedirectAction_PERMANENT_REDIRECT: 308,
}

func (r *Route) addFault(packed *anypb.Any) error {
	if packed == nil {
		return nil
	}
	fault := &envoyfault.HTTPFault{}
	if err := packed.UnmarshalTo(fault); err != nil {
		return err
	}
	r.Abort, r.AbortStatus = share(fault.GetAbort().GetPercentage()), fault.GetAbort().GetHttpStatus()
	r.Delayed, r.Delay = share(fault.GetDelay().GetPercentage()), fault.GetDelay().GetFixedDelay().AsDuration().Seconds()
	return nil
}

func share(percent *envoytype.FractionalPercent) float64 {
	whole := map[envoytype.FractionalPercent_DenominatorType]float64{
		envoytype.FractionalPercent_HUNDRED: 100, envoytype.FractionalPercent_TEN_THOUSAND: 10_000,
		envoytype.FractionalPercent_MILLION: 1_000_000,
	}
	return float64(percent.GetNumerator()) / whole[percent.GetDenominator()]
}

// chainsOf is where outbound listeners send connections that are not HTTP. The configuration is the listener's name.
func chainsOf(listeners []*envoylistener.Listener) ([]Route, error) {
	told := []Route{}
	for _, listener := range listeners {
		if listener.GetTrafficDirection() != envoycore.TrafficDirection_OUTBOUND || listener.GetName() == "virtualOutbound" {
			continue
		}
		chains := listener.GetFilterChains()
		if listener.GetDefaultFilterChain() != nil {
			chains = append(chains, listener.GetDefaultFilterChain())
		}
		for _, chain := range chains {
			for _, filter := range chain.GetFilters() {
				packed := filter.GetTypedConfig()
				if packed == nil || !strings.HasSuffix(packed.GetTypeUrl(), ".TcpProxy") {
					continue
				}
				proxy := &envoytcp.TcpProxy{}
				if err := packed.UnmarshalTo(proxy); err != nil {
					return nil, err
				}
				told = append(told, describeChain(listener.GetName(), chain, proxy))
			}
		}
	}
	return told, nil
}

func describeChain(listener string, chain *envoylistener.FilterChain, proxy *envoytcp.TcpProxy) Route {
	told := Route{
		Configuration: listener, Domains: append([]string{}, chain.GetFilterChainMatch().GetServerNames()...),
		Headers: []string{}, Query: []string{}, Clusters: []Weight{}, Mirrors: []Weight{},
	}
	for _, subnet := range chain.GetFilterChainMatch().GetPrefixRanges() {
		told.Headers = append(told.Headers, fmt.Sprintf("%s/%d", subnet.GetAddressPrefix(), subnet.GetPrefixLen().GetValue()))
	}
	if name := proxy.GetCluster(); name != "" {
		told.Clusters = append(told.Clusters, Weight{name, 1})
	}
	for _, one := range proxy.GetWeightedClusters().GetClusters() {
		told.Clusters = append(told.Clusters, Weight{one.GetName(), float64(one.GetWeight())})
	}
	return told
}
