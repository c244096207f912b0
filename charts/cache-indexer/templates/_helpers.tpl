{{- define "cache-indexer.namespace" -}}
{{- dig "namespace" "" (.Values.global | default dict) | default .Release.Namespace -}}
{{- end -}}

{{- define "cache-indexer.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Which Pods are engines: given, or those of the model, whose label of Qwen/Qwen3-8B is qwen-qwen3-8b. */}}
{{- define "cache-indexer.engines" -}}
{{- $model := dig "model" "" (.Values.global | default dict) | default "Qwen/Qwen3-8B" -}}
{{- $label := regexReplaceAll "[^a-z0-9.]+" (lower $model) "-" | trunc 63 | trimAll "-." -}}
{{- .Values.app.serviceDiscovery.labelSelector | default (printf "openfuyao.com/model=%s" $label) -}}
{{- end -}}

{{- define "cache-indexer.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cache-indexer.labels" -}}
{{ include "cache-indexer.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "cache-indexer.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{- define "cache-indexer.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "cache-indexer.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}
