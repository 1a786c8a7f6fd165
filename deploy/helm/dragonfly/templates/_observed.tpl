{{/* What Prometheus is told of a component. */}}

{{/* Labels that its series have. Of: root, values. */}}
{{- define "dragonfly.series" -}}
{{- printf "job=%q,namespace=%q" (printf "%s-metrics" (include "dragonfly.name" .)) (include "dragonfly.namespace" .root) -}}
{{- end -}}

{{/* A component's ServiceMonitor, PrometheusRule and dashboard. Of: root, values, rules (name of the template with its alerts),
dashboard (name of its file). */}}
{{- define "dragonfly.observed" -}}
{{- $name := include "dragonfly.name" . -}}
{{- $at := dict "root" .root "name" $name "component" .values.name -}}
{{- $monitor := .values.metrics.serviceMonitor -}}
{{- if and .values.metrics.enable $monitor.enable }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "dragonfly.meta" (merge (dict "labels" $monitor.additionalLabels) $at) | nindent 2 }}
spec:
  endpoints:
    - port: metrics
      interval: {{ $monitor.interval }}
      scrapeTimeout: {{ $monitor.scrapeTimeout }}
  namespaceSelector:
    matchNames:
      - {{ include "dragonfly.namespace" .root }}
  selector:
    matchLabels:
      {{- include "dragonfly.selector" $at | nindent 6 }}
{{- end }}
{{- $rule := .values.metrics.prometheusRule }}
{{- if and .values.metrics.enable $rule.enable }}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  {{- include "dragonfly.meta" (merge (dict "labels" $rule.additionalLabels) $at) | nindent 2 }}
spec:
  groups:
    - name: {{ $name }}
      rules:
        {{- if $rule.rules }}
        {{- toYaml $rule.rules | nindent 8 }}
        {{- else }}
        - alert: DragonflyDown
          expr: absent(up{ {{- include "dragonfly.series" . -}} } == 1)
          for: 5m
          labels:
            severity: critical
          annotations:
            summary: No {{ .values.name }} of {{ $name }} answers Prometheus.
        {{- include .rules . | nindent 8 }}
        {{- end }}
{{- end }}
{{- $dashboard := .values.metrics.dashboard }}
{{- if and .values.metrics.enable $dashboard.enable }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "dragonfly.meta" (merge (dict "name" (printf "%s-dashboard" $name) "labels" $dashboard.additionalLabels "annotations" $dashboard.annotations) $at) | nindent 2 }}
data:
  {{- /* Several releases, and both kinds of peers, may be in one Grafana, where 40 characters are a dashboard's name. */}}
  {{- $uid := printf "%s/%s" (include "dragonfly.namespace" .root) $name | sha256sum | trunc 40 }}
  {{- $text := .root.Files.Get (printf "dashboards/%s.json" .dashboard) }}
  {{- $text = $text | replace (printf "\"dragonfly-%s\"" .dashboard) ($uid | quote) }}
  {{- $text = $text | replace "Dragonfly / " (printf "%s / " $name) }}
  {{ $name }}.json: |
    {{- $text | trim | nindent 4 }}
{{- end }}
{{- end -}}

{{/* An alert on a share of failures. Of: alert, failed, all (series), summary. */}}
{{- define "dragonfly.failureAlert" -}}
- alert: {{ .alert }}
  expr: sum(rate({{ .failed }}[5m])) / sum(rate({{ .all }}[5m])) > 0.1
  for: 5m
  labels:
    severity: warning
  annotations:
    summary: {{ .summary }}
{{- end -}}

{{- define "dragonfly.managerAlerts" -}}
{{- $series := include "dragonfly.series" . -}}
{{- $requests := "dragonfly_manager_requests_total" -}}
{{ include "dragonfly.failureAlert" (dict "alert" "DragonflyManagerRequestsFail" "failed" (printf "%s{%s,code=~\"5..\"}" $requests $series) "all" (printf "%s{%s}" $requests $series) "summary" "More than a tenth of the manager's REST requests fail.") }}
- alert: DragonflyManagerWithoutRedis
  expr: min(dragonfly_manager_redis_up{ {{- $series -}} }) == 0
  for: 5m
  labels:
    severity: warning
  annotations:
    summary: A manager has lost Redis; it sees what others change some seconds later.
- alert: DragonflyPeersWithoutScheduler
  expr: sum(rate(dragonfly_manager_search_scheduler_cluster_failure_total{ {{- $series -}} }[5m])) > 0
  for: 15m
  labels:
    severity: warning
  annotations:
    summary: The manager has no scheduler for peers that ask for one.
{{- end -}}

{{- define "dragonfly.schedulerAlerts" -}}
{{- $series := include "dragonfly.series" . -}}
{{- $name := "dragonfly_scheduler_announce_peer" -}}
{{ include "dragonfly.failureAlert" (dict "alert" "DragonflySchedulerStreamsFail" "failed" (printf "%s_failure_total{%s}" $name $series) "all" (printf "%s_total{%s}" $name $series) "summary" "More than a tenth of the streams of peers fail.") }}
- alert: DragonflyParentsFail
  expr: sum(rate(dragonfly_scheduler_download_piece_finished_failure_total{ {{- $series -}} }[5m])) > sum(rate(dragonfly_scheduler_download_piece_finished_total{ {{- $series -}} }[5m]))
  for: 10m
  labels:
    severity: warning
  annotations:
    summary: Parents fail more pieces than they deliver.
{{- end -}}

{{- define "dragonfly.peerAlerts" -}}
{{- $series := include "dragonfly.series" . -}}
{{- $name := "dragonfly_client_download_task" -}}
{{ include "dragonfly.failureAlert" (dict "alert" "DragonflyDownloadsFail" "failed" (printf "%s_failure_total{%s}" $name $series) "all" (printf "%s_total{%s}" $name $series) "summary" "More than a tenth of the downloads fail.") }}
- alert: DragonflyPeerAtItsLimit
  expr: sum by (instance, limit) (rate(dragonfly_client_limit_reached_total{ {{- $series -}} }[5m])) > 0
  for: 10m
  labels:
    severity: warning
  annotations:
    summary: {{ printf "The peer {{ $labels.instance }} refuses connections or requests, because the limit {{ $labels.limit }} is reached." }}
{{- end -}}
