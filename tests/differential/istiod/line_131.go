//go:build !istio130

// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"istio.io/istio/pilot/pkg/config/memory"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config/schema/collection"
)

type tcpRoute = gatewayv1.TCPRoute

func newStore(schemas collection.Schemas) *memory.Controller {
	return memory.NewController(memory.MakeSkipValidation(schemas))
}

func fullPush(push *model.PushContext) *model.PushRequest {
	return &model.PushRequest{Push: push, Forced: true}
}
