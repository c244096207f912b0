{{- define "vllm.namespace" -}}
{{- dig "namespace" "" (.Values.global | default dict) | default .Release.Namespace -}}
{{- end -}}

{{- define "vllm.fullname" -}}
{{- contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "vllm.modelName" -}}
{{- .Values.modelServer.name | default (dig "model" "" (.Values.global | default dict)) | default "Qwen/Qwen3-8B" -}}
{{- end -}}

{{/* Qwen/Qwen3-8B as a label: qwen-qwen3-8b. */}}
{{- define "vllm.model" -}}
{{- regexReplaceAll "[^a-z0-9.]+" (include "vllm.modelName" . | lower) "-" | trunc 63 | trimAll "-." -}}
{{- end -}}

{{- define "vllm.labels" -}}
app: {{ .Chart.Name }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
