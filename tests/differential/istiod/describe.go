// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"net"
	"sort"
	"strconv"
	"strings"

	envoycluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	envoycore "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	envoyendpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	envoyhttp "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// httpOptions is the key of the extension that carries maxRequestsPerConnection.
const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// asJSON is what Envoy's own config dump shows: snake case.
var asJSON = protojson.MarshalOptions{UseProtoNames: true}

func describe(sent *envoycluster.Cluster, settings Settings) (Cluster, error) {
	told := Cluster{
		Name:             sent.Name,
		Type:             typeOf(sent),
		Rule:             ruleOf(sent.GetMetadata()),
		LbPolicy:         sent.GetLbPolicy().String(),
		LocalityWeighted: sent.GetCommonLbConfig().GetLocalityWeightedLbConfig() != nil,
		ZoneAware:        json.RawMessage("null"),
		OutlierDetection: json.RawMessage("null"),
	}
	var err error
	if told.ZoneAware, err = written(sent.GetCommonLbConfig().GetZoneAwareLbConfig()); err != nil {
		return told, err
	}
	if told.OutlierDetection, err = written(sent.GetOutlierDetection()); err != nil {
		return told, err
	}
	if threshold := sent.GetCommonLbConfig().GetHealthyPanicThreshold(); threshold != nil {
		told.PanicThreshold = &threshold.Value
	}
	if told.MaxRequestsPerConnection, err = maxRequests(sent); err != nil {
		return told, err
	}
	if timeout := sent.GetConnectTimeout(); timeout != nil {
		seconds := strconv.FormatFloat(timeout.AsDuration().Seconds(), 'f', -1, 64) + "s"
		told.ConnectTimeout = &seconds
	}
	if settings.Raw {
		told.Raw, err = written(sent)
	}
	return told, err
}

func typeOf(sent *envoycluster.Cluster) string {
	if custom := sent.GetClusterType(); custom != nil {
		return custom.GetName()
	}
	return sent.GetType().String()
}

// written is the message as JSON, null when there is none.
func written(message proto.Message) (json.RawMessage, error) {
	if message == nil || !message.ProtoReflect().IsValid() {
		return json.RawMessage("null"), nil
	}
	return asJSON.Marshal(message)
}

// ruleOf is "namespace/name" of the DestinationRule that istiod names in a cluster's metadata.
func ruleOf(metadata *envoycore.Metadata) string {
	path := metadata.GetFilterMetadata()["istio"].GetFields()["config"].GetStringValue()
	parts := strings.Split(path, "/")
	if len(parts) < 3 || parts[len(parts)-2] != "destination-rule" {
		return ""
	}
	return parts[len(parts)-3] + "/" + parts[len(parts)-1]
}

func maxRequests(sent *envoycluster.Cluster) (*uint32, error) {
	packed := sent.GetTypedExtensionProtocolOptions()[httpOptions]
	if packed == nil {
		return nil, nil
	}
	options := &envoyhttp.HttpProtocolOptions{}
	if err := packed.UnmarshalTo(options); err != nil {
		return nil, err
	}
	return number(options.GetCommonHttpProtocolOptions().GetMaxRequestsPerConnection()), nil
}

func number(value *wrapperspb.UInt32Value) *uint32 {
	if value == nil {
		return nil
	}
	return &value.Value
}

// groupsOf keeps the order of the groups, which decides what Envoy keeps of an address that comes twice. Within a group
// istiod's order comes from Go maps where a Service has several EndpointSlices; it means nothing and is made the addresses'.
func groupsOf(assignment *envoyendpoint.ClusterLoadAssignment) []Group {
	groups := make([]Group, 0, len(assignment.GetEndpoints()))
	for _, sent := range assignment.GetEndpoints() {
		group := Group{
			Region:    sent.GetLocality().GetRegion(),
			Zone:      sent.GetLocality().GetZone(),
			SubZone:   sent.GetLocality().GetSubZone(),
			Priority:  sent.GetPriority(),
			Weight:    number(sent.GetLoadBalancingWeight()),
			Endpoints: make([]Endpoint, 0, len(sent.GetLbEndpoints())),
		}
		for _, endpoint := range sent.GetLbEndpoints() {
			group.Endpoints = append(group.Endpoints, Endpoint{
				Address: addressOf(endpoint.GetEndpoint().GetAddress()),
				Health:  endpoint.GetHealthStatus().String(),
				Weight:  number(endpoint.GetLoadBalancingWeight()),
			})
		}
		sort.SliceStable(group.Endpoints, func(i, j int) bool { return less(group.Endpoints[i], group.Endpoints[j]) })
		groups = append(groups, group)
	}
	return groups
}

func less(a, b Endpoint) bool {
	if a.Address != b.Address {
		return a.Address < b.Address
	}
	return a.Health < b.Health
}

func addressOf(address *envoycore.Address) string {
	switch kind := address.GetAddress().(type) {
	case *envoycore.Address_SocketAddress:
		return net.JoinHostPort(kind.SocketAddress.GetAddress(), strconv.Itoa(int(kind.SocketAddress.GetPortValue())))
	case *envoycore.Address_Pipe:
		return "unix:" + kind.Pipe.GetPath()
	case *envoycore.Address_EnvoyInternalAddress:
		return "envoy:" + kind.EnvoyInternalAddress.GetServerListenerName() + "/" + kind.EnvoyInternalAddress.GetEndpointId()
	}
	return ""
}
