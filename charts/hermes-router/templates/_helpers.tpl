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

{{/* Name of the Deployment, its Service and its service account. */}}
{{- define "hermes-router.workload" -}}
{{- if eq (include "hermes-router.mode" .) "picker" -}}
{{- printf "%s-epp" .Values.inferencepool.name -}}
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
