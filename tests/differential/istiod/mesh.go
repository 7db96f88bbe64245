// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"
	_ "unsafe" // go:linkname

	corev1 "k8s.io/api/core/v1"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/serviceregistry/aggregate"
	kubecontroller "istio.io/istio/pilot/pkg/serviceregistry/kube/controller"
	"istio.io/istio/pilot/pkg/serviceregistry/serviceentry"
	"istio.io/istio/pilot/pkg/xds"
	"istio.io/istio/pkg/cluster"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/kube/kclient"
	"istio.io/istio/pkg/kube/multicluster"
	"istio.io/istio/pkg/kube/namespace"
	"istio.io/istio/pkg/util/protomarshal"
)

// syncTimeout ends a mesh whose registries never say that they have read everything.
const syncTimeout = 60 * time.Second

//go:linkname buildEndpointsForService istio.io/istio/pilot/pkg/serviceregistry/kube/controller.(*Controller).buildEndpointsForService
func buildEndpointsForService(c *kubecontroller.Controller, svc *model.Service, updateCache bool) []*model.IstioEndpoint

//go:linkname workloadInstanceHandler istio.io/istio/pilot/pkg/serviceregistry/kube/controller.(*Controller).workloadInstanceHandler
func workloadInstanceHandler(c *kubecontroller.Controller, instance *model.WorkloadInstance, event model.Event)

// istiod is an istiod that knows one mesh and gets no more news.
type istiod struct {
	env       *model.Environment
	push      *model.PushContext
	discovery *xds.DiscoveryServer
	generator *core.ConfigGeneratorImpl
	clusters  map[cluster.ID]*inventory
	notes     []string
	stop      chan struct{}
	clients   []*client
}

func answerMesh(question Question) ([]ClientAnswer, []string, string) {
	var server *istiod
	err := guarded(func() (err error) {
		server, err = start(question)
		return err
	})
	if server != nil {
		defer server.shutdown()
	}
	if err != nil {
		return nil, nil, err.Error()
	}
	var first string
	answers := make([]ClientAnswer, len(question.Clients))
	for i, asked := range question.Clients {
		answers[i] = server.answer(asked, question.Settings)
		if first == "" {
			first = answers[i].Error
		}
	}
	return answers, server.notes, first
}

// start makes what istiod's bootstrap makes: a configuration store, a registry per cluster, one for ServiceEntries, and the
// push context, each after what it reads from has read everything.
func start(question Question) (server *istiod, err error) {
	server = &istiod{stop: make(chan struct{}), clusters: map[cluster.ID]*inventory{}}
	settings, err := server.meshConfig(question.Mesh)
	if err != nil {
		return server, err
	}
	networks := mesh.DefaultMeshNetworks()
	if len(question.Networks) > 0 {
		if networks, err = mesh.ParseMeshNetworks(string(question.Networks)); err != nil {
			return server, fmt.Errorf("networks: %w", err)
		}
	}
	home := cluster.ID(constants.DefaultClusterName)
	order := []cluster.ID{home}
	server.clusters[home], err = load(question.Objects, settings.RootNamespace)
	if err != nil {
		return server, err
	}
	for name, objects := range question.Clusters {
		if server.clusters[cluster.ID(name)], err = load(objects, settings.RootNamespace); err != nil {
			return server, fmt.Errorf("clusters[%s]: %w", name, err)
		}
		if len(server.clusters[cluster.ID(name)].configs) > 0 {
			return server, fmt.Errorf("clusters[%s]: istiod reads Istio objects from its own cluster (`objects`) only", name)
		}
		order = append(order, cluster.ID(name))
	}
	sort.Slice(order[1:], func(i, j int) bool { return order[i+1] < order[j+1] })
	for _, id := range order {
		server.clusters[id].order()
		server.notes = append(server.notes, server.clusters[id].notes...)
	}

	env := model.NewEnvironment()
	server.env = env
	env.Watcher = meshwatcher.NewTestWatcher(settings)
	env.NetworksWatcher = meshwatcher.NewFixedNetworksWatcher(networks)
	updater := model.NewEndpointIndexUpdater(env.EndpointIndex)
	clients := map[cluster.ID]*client{}
	for _, id := range order {
		clients[id] = newClient(id, server.clusters[id])
		clients[id].filter = namespace.NewDiscoveryNamespacesFilter(
			kclient.New[*corev1.Namespace](clients[id]), env.Watcher, server.stop)
		server.clients = append(server.clients, clients[id])
	}
	store := newStore(schemas)
	ofGatewayAPI := server.clusters[home].ofGatewayAPI(clients[home].filter, server.stop)
	for _, item := range append(server.clusters[home].configs, ofGatewayAPI...) {
		if _, err := store.Create(item); err != nil {
			return server, fmt.Errorf("%s %s/%s: %w", item.GroupVersionKind.Kind, item.Namespace, item.Name, err)
		}
	}
	virtualServices := model.NewVirtualServiceController(store, model.VSControllerOptions{XDSUpdater: updater}, env.Watcher)
	services := aggregate.NewController(aggregate.Options{MeshHolder: env, ConfigClusterID: home})
	registries := map[cluster.ID]*kubecontroller.Controller{}
	machines := &instances{}
	var entries *serviceentry.Controller
	for _, id := range order {
		client := clients[id]
		if id == home {
			remotes := multicluster.NewController(multicluster.ControllerOptions{
				Client: client, ClusterID: home, SystemNamespace: settings.RootNamespace, MeshConfig: env.Watcher,
			})
			// Without it, what it started would never stop.
			if err := remotes.Run(server.stop); err != nil {
				return server, err
			}
			entries = serviceentry.NewController(store, updater, remotes, env.Watcher, serviceentry.WithClusterID(home))
		}
		registry := kubecontroller.NewController(client, kubecontroller.Options{
			SystemNamespace:       settings.RootNamespace,
			MeshServiceController: services,
			DomainSuffix:          constants.DefaultClusterLocalDomain,
			ClusterID:             id,
			Metrics:               env,
			XDSUpdater:            updater,
			MeshNetworksWatcher:   env.NetworksWatcher,
			MeshWatcher:           env.Watcher,
			ConfigCluster:         id == home,
		})
		if features.EnableServiceEntrySelectPods {
			registry.AppendWorkloadHandler(entries.WorkloadInstanceHandler)
		}
		if features.EnableK8SServiceSelectWorkloadEntries && id == home {
			// The registry would put them into a queue that nobody can wait for.
			entries.AppendWorkloadHandler(machines.add)
		}
		services.AddRegistry(registry)
		registries[id] = registry
	}
	services.AddRegistry(entries)
	env.ServiceDiscovery = services
	env.ConfigStore = store
	env.VirtualServiceController = virtualServices
	env.Init()
	server.discovery = &xds.DiscoveryServer{Env: env}
	server.generator = core.NewConfigGenerator(&model.DisabledCache{})

	// Pods first: a ServiceEntry that selects pods then sees all of them when it is read.
	for i, id := range order {
		server.clients[i].RunAndWait(server.stop)
		go registries[id].Run(server.stop)
	}
	for _, id := range order {
		if err := server.wait("the registry of cluster "+string(id), registries[id].HasSynced); err != nil {
			return server, err
		}
	}
	go store.Run(server.stop)
	go virtualServices.Run(server.stop)
	go entries.Run(server.stop)
	if err := server.wait("the configuration", func() bool {
		return store.HasSynced() && virtualServices.HasSynced() && entries.HasSynced()
	}); err != nil {
		return server, err
	}
	machines.each(func(instance *model.WorkloadInstance, event model.Event) {
		workloadInstanceHandler(registries[home], instance, event)
	})
	// A registry handles the events of several informers in the order in which they come, and an EndpointSlice that comes
	// before its Service has other health states. Everything is there now: build all endpoints once more.
	for _, id := range order {
		registry := registries[id]
		shard := model.ShardKeyFromRegistry(registry)
		for _, service := range registry.Services() {
			updater.EDSUpdate(shard, string(service.Hostname), service.Attributes.Namespace,
				buildEndpointsForService(registry, service, true))
		}
	}
	entries.ResyncEDS()
	if err := env.InitNetworksManager(updater); err != nil {
		return server, err
	}
	server.push = env.PushContext()
	server.push.InitContext(env, nil, nil)
	return server, nil
}

// meshConfig is the given settings over istiod's defaults, as istiod merges the ConfigMap's.
func (s *istiod) meshConfig(given json.RawMessage) (*meshconfig.MeshConfig, error) {
	settings := mesh.DefaultMeshConfig()
	if len(given) == 0 || string(given) == "null" {
		return settings, nil
	}
	if err := protomarshal.ApplyJSONStrict(string(given), &meshconfig.MeshConfig{}); err != nil {
		s.notes = append(s.notes, "mesh: "+err.Error())
	}
	merged, err := mesh.ApplyMeshConfig(string(given), settings)
	if err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	return merged, nil
}

// instances are the WorkloadEntries that Services may select.
type instances struct {
	mu   sync.Mutex
	told []func(handler func(*model.WorkloadInstance, model.Event))
}

func (i *instances) add(instance *model.WorkloadInstance, event model.Event) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.told = append(i.told, func(handler func(*model.WorkloadInstance, model.Event)) { handler(instance, event) })
}

func (i *instances) each(handler func(*model.WorkloadInstance, model.Event)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, tell := range i.told {
		tell(handler)
	}
}

// wait returns when `ready` says yes. The registries tell it no other way.
func (s *istiod) wait(what string, ready func() bool) error {
	deadline := time.Now().Add(syncTimeout)
	for !ready() {
		if time.Now().After(deadline) {
			return errors.New(what + " has not been read within " + syncTimeout.String())
		}
		time.Sleep(50 * time.Microsecond)
	}
	return nil
}

func (s *istiod) shutdown() {
	close(s.stop)
	for _, client := range s.clients {
		client.Shutdown()
	}
}
