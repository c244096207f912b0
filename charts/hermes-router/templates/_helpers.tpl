{{/* resources | config | picker: what the values ask for. */}}
{{- define "hermes-router.mode" -}}
{{- $picker := or .Values.inferencepool.enabled .Values.inferencepool.inferenceExtension.pluginsConfigFile -}}
{{- if and $picker .Values.app -}}
{{- fail "app.* sets up a router and inferencepool.* an endpoint picker: install one release for each" -}}
{{- end -}}
{{- if $picker }}picker{{ else if .Values.app }}config{{ else }}resources{{ end -}}
{{- end -}}

{{- define "hermes-router.namespace" -}}
{{- dig "namespace" "" (.Values.global | default dict) | default .Release.Namespace -}}
{{- end -}}

{{- define "hermes-router.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The model as a label: of Qwen/Qwen3-8B qwen-qwen3-8b. */}}
{{- define "hermes-router.model" -}}
{{- $model := dig "model" "" (.Values.global | default dict) | default "Qwen/Qwen3-8B" -}}
{{- regexReplaceAll "[^a-z0-9.]+" (lower $model) "-" | trunc 63 | trimAll "-." -}}
{{- end -}}

{{/* Name of the InferencePool. With -epp behind it, it is the name of a Service, which has no dots. */}}
{{- define "hermes-router.pool" -}}
{{- $model := include "hermes-router.model" . | replace "." "-" -}}
{{- .Values.inferencepool.name | default (printf "vllm-%s" $model | trunc 59 | trimSuffix "-") -}}
{{- end -}}

{{- define "hermes-router.engineLabels" -}}
{{- .Values.inferencepool.modelServers.matchLabels | default (dict "openfuyao.com/model" (include "hermes-router.model" .)) | toYaml -}}
{{- end -}}

{{/* Name of the Deployment, its Service and its service account. */}}
{{- define "hermes-router.workload" -}}
{{- if eq (include "hermes-router.mode" .) "picker" -}}
{{- printf "%s-epp" (include "hermes-router.pool" .) -}}
{{- else -}}
{{- include "hermes-router.fullname" . -}}
{{- end -}}
{{- end -}}

{{- define "hermes-router.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- if eq (include "hermes-router.mode" .) "picker" }}
inferencepool: {{ include "hermes-router.workload" . }}
{{- end }}
{{- end -}}

{{- define "hermes-router.labels" -}}
{{ include "hermes-router.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "hermes-router.image" -}}
{{- $image := .Values.image -}}
{{- $tag := $image.tag | default .Chart.AppVersion -}}
{{- $repository := $image.repository -}}
{{- if eq (include "hermes-router.mode" .) "picker" -}}
{{- $own := .Values.inferencepool.inferenceExtension.image -}}
{{- $tag = $own.tag | default $tag -}}
{{- with $own.name }}{{ $repository = . }}{{ end -}}
{{- with $own.hub }}{{ $repository = printf "%s/%s" . ($own.name | default "hermes-router") }}{{ end -}}
{{- end -}}
{{- printf "%s:%s" $repository $tag -}}
{{- end -}}

{{- define "hermes-router.pullPolicy" -}}
{{- $own := "" -}}
{{- if eq (include "hermes-router.mode" .) "picker" }}{{ $own = .Values.inferencepool.inferenceExtension.image.pullPolicy }}{{ end -}}
{{- $own | default .Values.image.pullPolicy -}}
{{- end -}}

{{- define "hermes-router.adminSecret" -}}
{{- .Values.adminToken.secretName | default (printf "%s-admin" (include "hermes-router.fullname" .)) -}}
{{- end -}}

{{/* Key of the EndpointPickerConfig in its ConfigMap; empty without one. */}}
{{- define "hermes-router.pluginsConfig" -}}
{{- with .Values.inferencepool.inferenceExtension -}}
{{- if .pluginsConfigFile -}}
{{- if not (hasKey .pluginsCustomConfig .pluginsConfigFile) -}}
{{- fail (printf "inferencepool.inferenceExtension.pluginsConfigFile is %s: write that configuration below pluginsCustomConfig, which has %s" .pluginsConfigFile (keys .pluginsCustomConfig | sortAlpha | join ", " | default "nothing")) -}}
{{- end -}}
{{- .pluginsConfigFile -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The environment by which traces are set up, as OpenTelemetry names it. */}}
{{- define "hermes-router.tracing" -}}
{{- with (.Values.tracing).endpoint -}}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }} }
- { name: OTEL_SERVICE_NAME, value: {{ include "hermes-router.workload" $ }} }
- { name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio }
- { name: OTEL_TRACES_SAMPLER_ARG, value: {{ $.Values.tracing.samplingRatio | quote }} }
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- { name: OTEL_RESOURCE_ATTRIBUTES, value: "k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(POD_NAME)" }
{{- end -}}
{{- end -}}

{{/* Probes and pods' settings that do not depend on what is run. */}}
{{- define "hermes-router.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "hermes-router.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}
