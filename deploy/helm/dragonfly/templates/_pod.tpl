{{/* What the pods of all programs have in common. */}}

{{/* Metadata of a program's pods. A changed file rolls them. Of: root, values, config (the file's text). */}}
{{- define "dragonfly.podMeta" -}}
labels:
  {{- include "dragonfly.selector" (dict "root" .root "component" .values.name) | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ .config | sha256sum }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Where pods go and how they end. Of: root, values. */}}
{{- define "dragonfly.placement" -}}
automountServiceAccountToken: false
{{- include "dragonfly.pullSecrets" . }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- with .values.nodeSelector | default .root.Values.global.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Nobody's rights, and files that only its group writes. Of: a user's number. */}}
{{- define "dragonfly.asUser" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "dragonfly.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* The beginning of a program's container. Of: root, values, program, file (its configuration's name). */}}
{{- define "dragonfly.container" -}}
{{ include "dragonfly.image" (dict "root" .root "values" .values) }}
command: [/usr/local/bin/dragonfly, {{ .program }}]
args:
  - --config=/etc/dragonfly/{{ .file }}
  - --console
  {{- with dig "log" "level" "" (.values.config | default dict) }}
  - --log-level={{ . }}
  {{- end }}
{{ include "dragonfly.confined" . }}
{{- with .values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or .values.extraEnvVars .values.initialRootPasswordSecret }}
env:
  {{- with .values.initialRootPasswordSecret }}
  - name: DRAGONFLY_INITIAL_ROOT_PASSWORD
    valueFrom:
      secretKeyRef:
        name: {{ . }}
        key: password
  {{- end }}
  {{- with .values.extraEnvVars }}
  {{- tpl (toYaml .) $.root | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Ready, alive, and time to become so. Of: the question, as httpGet, grpc or exec. */}}
{{- define "dragonfly.probes" -}}
{{- /* A start may wait ten minutes for what it needs. */ -}}
startupProbe:
  {{- toYaml . | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 132
livenessProbe:
  {{- toYaml . | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  {{- toYaml . | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 3
{{- end -}}

{{/* The mounts of a program. Of: root, values. */}}
{{- define "dragonfly.mounts" -}}
- name: config
  mountPath: /etc/dragonfly
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if .root.Values.tls.enable }}
- name: dragonfly-tls
  mountPath: /etc/dragonfly-tls
  readOnly: true
{{- end }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The volumes behind them. Of: root, values, name, kind (of the object that holds the file). */}}
{{- define "dragonfly.volumes" -}}
- name: config
  {{- if eq .kind "Secret" }}
  secret:
    secretName: {{ .name }}
  {{- else }}
  configMap:
    name: {{ .name }}
  {{- end }}
- name: tmp
  emptyDir: {}
{{- if .root.Values.tls.enable }}
- name: dragonfly-tls
  secret:
    secretName: {{ .name }}-tls
    defaultMode: 0440
{{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A volume of one's own, as a PersistentVolumeClaim's spec. Of: root, persistence. */}}
{{- define "dragonfly.claim" -}}
accessModes: {{ .persistence.accessModes | default (list "ReadWriteOnce") | toJson }}
{{- with .persistence.storageClass | default .root.Values.global.storageClass }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .persistence.size }}
{{- end -}}

{{/* Metadata of an object. Of: root, name, component; annotations, labels. */}}
{{- define "dragonfly.meta" -}}
name: {{ .name }}
namespace: {{ include "dragonfly.namespace" .root }}
labels:
  {{- include "dragonfly.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A Service. Of: root, name, component, ports; service (type, labels, annotations, clusterIP). */}}
{{- define "dragonfly.service" -}}
{{- $service := .service | default dict }}
---
apiVersion: v1
kind: Service
metadata:
  {{- include "dragonfly.meta" (merge (dict "labels" $service.labels "annotations" $service.annotations) .) | nindent 2 }}
spec:
  type: {{ $service.type | default "ClusterIP" }}
  {{- with $service.clusterIP }}
  clusterIP: {{ . }}
  {{- end }}
  # Both families where the Kubernetes cluster has both.
  ipFamilyPolicy: PreferDualStack
  ports:
    {{- toYaml .ports | nindent 4 }}
  selector:
    {{- include "dragonfly.selector" . | nindent 4 }}
{{- end -}}

{{/* The Service that Prometheus finds. Of: root, values, port. */}}
{{- define "dragonfly.metricsService" -}}
{{- if .values.metrics.enable -}}
{{- $name := printf "%s-metrics" (include "dragonfly.name" .) -}}
{{- $ports := list (dict "name" "metrics" "port" .port "targetPort" "metrics" "protocol" "TCP") -}}
{{ include "dragonfly.service" (dict "root" .root "name" $name "component" .values.name "service" .values.metrics.service "ports" $ports) }}
{{- end -}}
{{- end -}}

{{/* The object that holds a program's file. Of: root, name, component, kind, file, text. */}}
{{- define "dragonfly.configObject" -}}
---
apiVersion: v1
kind: {{ .kind }}
metadata:
  {{- include "dragonfly.meta" . | nindent 2 }}
{{ eq .kind "Secret" | ternary "stringData" "data" }}:
  {{ .file }}: |
    {{- .text | nindent 4 }}
{{- end -}}

{{/* Pods of a component on different nodes, if there are any. Of: root, values. */}}
{{- define "dragonfly.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "dragonfly.selector" (dict "root" .root "component" .values.name) | nindent 8 }}
{{- end -}}
