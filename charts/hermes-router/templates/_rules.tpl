{{/* A role with its binding: name, rules (a template), in (its namespace; with cluster everywhere), account, namespace. */}}
{{- define "hermes-router.grant" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if .cluster }}Cluster{{ end }}Role
metadata:
  name: {{ .name }}
  {{- with .in }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- .labels | nindent 4 }}
rules: {{- include .rules . | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if .cluster }}Cluster{{ end }}RoleBinding
metadata:
  name: {{ .name }}
  {{- with .in }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- .labels | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ if .cluster }}Cluster{{ end }}Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .namespace }}
{{- end }}

{{/* What the router does in a namespace whose resources it serves; as config/rbac/role.yaml. */}}
{{- define "hermes-router.servingRules" -}}
- apiGroups: [hermes-router.io]
  resources: [backendgroups, routingpolicies]
  verbs: [list, watch]
- apiGroups: [hermes-router.io]
  resources: [backendgroups/status, routingpolicies/status]
  verbs: [patch]
# Discovery.
- apiGroups: ['']
  resources: [pods, services]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [inference.networking.k8s.io]
  resources: [inferencepools]
  verbs: [list, watch]
# Those that groups name (caSecretRef, apiKeySecretRef), one by one.
- apiGroups: ['']
  resources: [secrets]
  verbs: [get]
# Last good versions.
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [list, create, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* What the replicas do among themselves: elect a leader, find each other; as config/rbac/replicas_role.yaml. */}}
{{- define "hermes-router.replicaRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* Services with the labels, and the engines behind them. */}}
{{- define "hermes-router.configRules" -}}
- apiGroups: ['']
  resources: [pods, services]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- end -}}

{{/* An endpoint picker reads, and writes nothing; as config/epp/role.yaml. */}}
{{- define "hermes-router.pickerRules" -}}
{{ include "hermes-router.pickerByFileRules" . }}
# Without a configuration of its own, policies rule.
- apiGroups: [hermes-router.io]
  resources: [routingpolicies]
  verbs: [list, watch]
{{- end -}}

{{- define "hermes-router.pickerByFileRules" -}}
- apiGroups: [inference.networking.k8s.io]
  resources: [inferencepools]
  verbs: [list, watch]
- apiGroups: ['']
  resources: [pods]
  verbs: [list, watch]
# Priorities, of whichever of the two groups the cluster has.
- apiGroups: [llm-d.ai, inference.networking.x-k8s.io]
  resources: [inferenceobjectives]
  verbs: [list, watch]
# What is said of the pool besides, and its last good versions.
- apiGroups: [hermes-router.io]
  resources: [backendgroups]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [list]
# Those that BackendGroups name (caSecretRef, apiKeySecretRef), one by one.
- apiGroups: ['']
  resources: [secrets]
  verbs: [get]
{{- end -}}
