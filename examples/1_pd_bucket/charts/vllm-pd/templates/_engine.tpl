{{/* Engines of one role of one group: root, id (of the group), index, role, engine (its values). */}}
{{- define "vllm-pd.engine" }}
{{- $root := .root }}
{{- $values := $root.Values }}
{{- $simulated := $values.simulated.enabled }}
{{- $server := $values.modelServer }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ printf "%s-%d-%s" (include "vllm-pd.fullname" $root) .index .role }}
  namespace: {{ include "vllm-pd.namespace" $root }}
  labels: {{- include "vllm-pd.labels" $root | nindent 4 }}
spec:
  replicas: {{ .engine.replicas }}
  selector:
    matchLabels:
      app.kubernetes.io/name: {{ $root.Chart.Name }}
      app.kubernetes.io/instance: {{ $root.Release.Name }}
      openfuyao.com/pdGroupID: {{ .id | quote }}
      openfuyao.com/pdRole: {{ .role }}
  strategy:
    rollingUpdate: { maxUnavailable: 1, maxSurge: 0 }
  template:
    metadata:
      labels:
        app: {{ $root.Chart.Name }}
        app.kubernetes.io/name: {{ $root.Chart.Name }}
        app.kubernetes.io/instance: {{ $root.Release.Name }}
        openfuyao.com/model: {{ include "vllm-pd.model" $root }}
        openfuyao.com/pdGroupID: {{ .id | quote }}
        openfuyao.com/pdRole: {{ .role }}
        openfuyao.com/tpSize: {{ .engine.tensorParallelSize | quote }}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: {{ add $values.drainSeconds 60 }}
      securityContext:
        {{- if $simulated }}
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        {{- end }}
        seccompProfile: { type: RuntimeDefault }
      {{- with $values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: engine
          {{- if $simulated }}
          image: {{ printf "%s:%s" $values.leader.image.repository ($values.leader.image.tag | default $root.Chart.AppVersion) }}
          imagePullPolicy: {{ $values.leader.image.pullPolicy }}
          args:
            - sim-engine
            - --listen=0.0.0.0:8000
            - --model={{ include "vllm-pd.modelName" $root }}
            - --kv-events=tcp://*:5557
            - --kv-replay=tcp://*:5558
            {{- range $values.simulated.args }}
            - {{ . | quote }}
            {{- end }}
          {{- else }}
          image: {{ printf "%s:%s" $server.image.repository $server.image.tag }}
          imagePullPolicy: {{ $server.image.pullPolicy }}
          command: [vllm, serve]
          args:
            - {{ include "vllm-pd.modelName" $root }}
            - --host=0.0.0.0
            - --port=8000
            - --tensor-parallel-size={{ .engine.tensorParallelSize }}
            - --enable-prefix-caching
            - --enable-prompt-tokens-details
            - --kv-transfer-config
            - '{"kv_connector":"NixlConnector","kv_role":"{{ eq .role "prefill" | ternary "kv_producer" "kv_consumer" }}"}'
            - --kv-events-config
            # With an address in place of * vLLM connects instead of listening.
            - '{"enable_kv_cache_events":true,"publisher":"zmq","topic":"kv-events","endpoint":"tcp://*:5557","replay_endpoint":"tcp://*:5558"}'
            {{- range concat $server.args (.engine.args | default list) }}
            - {{ . | quote }}
            {{- end }}
          env:
            - { name: HF_HOME, value: /models }
            # Where the other role asks for blocks.
            - name: VLLM_NIXL_SIDE_CHANNEL_HOST
              valueFrom: { fieldRef: { fieldPath: status.podIP } }
            - { name: VLLM_NIXL_SIDE_CHANNEL_PORT, value: "5600" }
            {{- with $server.env }}{{ toYaml . | nindent 12 }}{{ end }}
          {{- end }}
          {{- with $values.drainSeconds }}
          # At SIGTERM an engine cuts the answers under way; who routes learns at once that the Pod ends.
          lifecycle: { preStop: { sleep: { seconds: {{ . }} } } }
          {{- end }}
          ports:
            - { name: http, containerPort: 8000 }
            - { name: zmq-pub, containerPort: 5557 }
            - { name: zmq-replay, containerPort: 5558 }
            {{- if not $simulated }}
            - { name: nixl, containerPort: 5600 }
            {{- end }}
          # A model takes its time to load.
          startupProbe:
            httpGet: { path: /health, port: http }
            periodSeconds: {{ $simulated | ternary 1 10 }}
            failureThreshold: 180
          livenessProbe:
            httpGet: { path: /health, port: http }
            periodSeconds: 10
            timeoutSeconds: 5
          readinessProbe:
            httpGet: { path: /health, port: http }
            periodSeconds: 5
            timeoutSeconds: 5
          {{- if $simulated }}
          resources: {{- toYaml $values.simulated.resources | nindent 12 }}
          {{- else }}
          resources:
            {{- with $server.resources.requests }}
            requests: {{- toYaml . | nindent 14 }}
            {{- end }}
            limits:
              {{- with $server.acceleratorResource }}
              {{ . }}: {{ $.engine.tensorParallelSize }}
              {{- end }}
              {{- with $server.resources.limits }}{{ toYaml . | nindent 14 }}{{ end }}
          {{- end }}
          securityContext:
            allowPrivilegeEscalation: false
            capabilities: { drop: [ALL] }
            {{- if $simulated }}
            readOnlyRootFilesystem: true
            {{- end }}
          {{- if not $simulated }}
          volumeMounts:
            - { name: models, mountPath: /models }
            - { name: shm, mountPath: /dev/shm }
          {{- end }}
      {{- if not $simulated }}
      volumes:
        - name: models
          {{- if $server.rootCachePath }}
          hostPath: { path: {{ $server.rootCachePath }}, type: DirectoryOrCreate }
          {{- else }}
          emptyDir: {}
          {{- end }}
        # Ranks of a tensor-parallel engine talk through it.
        - name: shm
          emptyDir: { medium: Memory }
      {{- end }}
{{- end }}
