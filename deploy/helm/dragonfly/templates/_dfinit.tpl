{{/*
The set-up of a node's container runtime, before its peer starts: dfinit changes files, and a runtime whose file was changed is
restarted, once. What was there before is kept on the node.
*/}}

{{/* dfinit.yaml: today's key, or what the keys of 2023 say; empty if nothing is to be set up. */}}
{{- define "dragonfly.dfinitConfig" -}}
{{- $peer := fromYaml (include "dragonfly.peer" .) -}}
{{- $runtimes := dict -}}
{{- if $peer.dfinit.enable -}}
{{- $runtimes = deepCopy ($peer.dfinit.config.containerRuntime | default dict) -}}
{{- end -}}
{{- $old := dig "containerd" dict (.Values.containerRuntime | default dict) -}}
{{- if $old.enable -}}
{{- $dir := $old.configPathDir | default "/etc/containerd" -}}
{{- $file := printf "%s/%s" $dir ($old.configFileName | default "config.toml") -}}
{{- $_ := set $runtimes "containerd" (dict "configPath" $file "hostsPath" (printf "%s/certs.d" $dir) "proxyAllRegistries" false "registries" (fromYamlArray (include "dragonfly.registries" .))) -}}
{{- end -}}
{{- with $runtimes.containerd -}}
{{- if not .hostsPath -}}
{{- $_ := set . "hostsPath" (printf "%s/certs.d" (dir (.configPath | default "/etc/containerd/config.toml"))) -}}
{{- end -}}
{{- end -}}
{{- if $runtimes -}}
{{- $mirror := dig "proxy" "registryMirror" "addr" "https://index.docker.io" $peer.config -}}
{{- toYaml (dict "proxy" (dict "addr" (printf "http://127.0.0.1:%s" (include "dragonfly.proxyOfNode" (dict "values" $peer))) "registryMirror" $mirror) "containerRuntime" $runtimes) -}}
{{- end -}}
{{- end -}}

{{/* The port of the node that leads to the proxy. Of: values. */}}
{{- define "dragonfly.proxyOfNode" -}}
{{- $proxy := include "dragonfly.port" (dict "config" .values.config "path" (list "proxy" "server" "port") "default" 4001) -}}
{{- .values.hostNetwork | ternary $proxy (.values.hostPort | default $proxy) -}}
{{- end -}}

{{/* The runtimes that are set up: name, file, and what systemctl does with them ("" for nothing). Of: root. */}}
{{- define "dragonfly.runtimes" -}}
{{- $config := fromYaml (include "dragonfly.dfinitConfig" .root) -}}
{{- $usual := dict
  "containerd" (dict "file" "/etc/containerd/config.toml" "verb" "restart")
  "crio" (dict "file" "/etc/containers/registries.conf" "verb" "reload")
  "docker" (dict "file" "/etc/docker/daemon.json" "verb" "restart")
  "podman" (dict "file" "/etc/containers/registries.conf" "verb" "") -}}
{{- $all := list -}}
{{- range $name, $runtime := $config.containerRuntime -}}
{{- $known := index $usual $name -}}
{{- $file := ($runtime | default dict).configPath | default $known.file -}}
{{- $all = append $all (dict "name" $name "file" $file "verb" $known.verb) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/*
The init containers. A runtime's file as it was when the runtime read it last is remembered on the node by its checksum, so that
an end between the change and the restart loses nothing, and a restart that ends this pod is not repeated. Of: root, values, undo.
*/}}
{{- define "dragonfly.dfinitContainers" -}}
{{- $restarted := list -}}
{{- range fromYamlArray (include "dragonfly.runtimes" .) -}}
{{- if and .verb $.values.dfinit.restartContainerRuntime }}{{ $restarted = append $restarted . }}{{ end -}}
{{- end -}}
{{- range $restarted }}
- name: note-{{ .name }}
  {{- include "dragonfly.busybox" (dict "values" $.values "runtime" .) | nindent 2 }}
  {{- include "dragonfly.confined" . | nindent 2 }}
  args:
    - |
      [ -e "$APPLIED" ] || cat "$FILE" 2>/dev/null | sha256sum >"$APPLIED"
{{- end }}
- name: dfinit
  {{- include "dragonfly.image" . | nindent 2 }}
  command: [/usr/local/bin/dragonfly, dfinit]
  args:
    - --config=/etc/dragonfly/dfinit.yaml
    - --state-dir=/var/lib/dragonfly-dfinit
    {{- if .undo }}
    - --undo
    {{- end }}
  {{- include "dragonfly.confined" . | nindent 2 }}
  resources:
    {{- toYaml .values.dfinit.resources | nindent 4 }}
  volumeMounts:
    - name: dfinit
      mountPath: /etc/dragonfly
      readOnly: true
    - name: dfinit-state
      mountPath: /var/lib/dragonfly-dfinit
    {{- range fromYamlArray (include "dragonfly.runtimeDirs" .) }}
    - name: {{ .name }}
      mountPath: {{ .dir }}
    {{- end }}
{{- range $restarted }}
- name: restart-{{ .name }}
  {{- include "dragonfly.busybox" (dict "values" $.values "runtime" .) | nindent 2 }}
  # systemctl of the node is run among the node's files.
  securityContext:
    privileged: true
    readOnlyRootFilesystem: true
  args:
    - |
      now=$(cat "$FILE" 2>/dev/null | sha256sum)
      before=$(cat "$APPLIED")
      [ "$now" != "$before" ] || exit 0
      echo "$now" >"$APPLIED"
      nsenter -t 1 -m -- systemctl {{ .verb }} {{ .name }} || { echo "$before" >"$APPLIED"; exit 1; }
{{- end }}
{{- end -}}

{{/* The volumes of these containers. Of: root, name (the peers'). */}}
{{- define "dragonfly.dfinitVolumes" -}}
- name: dfinit
  configMap:
    name: {{ .name }}-dfinit
# What dfinit changed, as it was before.
- name: dfinit-state
  hostPath:
    path: /var/lib/dragonfly-dfinit
    type: DirectoryOrCreate
{{- range fromYamlArray (include "dragonfly.runtimeDirs" .) }}
- name: {{ .name }}
  hostPath:
    path: {{ .dir }}
    type: DirectoryOrCreate
{{- end }}
{{- end -}}

{{/* A shell for one runtime. Of: values, runtime. */}}
{{- define "dragonfly.busybox" -}}
image: {{ .values.dfinit.shellImage }}
imagePullPolicy: IfNotPresent
command: [sh, -c]
resources:
  {{- toYaml .values.dfinit.resources | nindent 2 }}
env:
  - name: FILE
    value: {{ .runtime.file }}
  - name: APPLIED
    value: /var/lib/dragonfly-dfinit/{{ .runtime.name }}.applied
volumeMounts:
  - name: dfinit-state
    mountPath: /var/lib/dragonfly-dfinit
  - name: {{ .runtime.file | dir | trimPrefix "/" | replace "/" "-" | replace "." "-" }}
    mountPath: {{ dir .runtime.file }}
    readOnly: true
{{- end -}}

{{/* The directories of the runtimes' files, each once. Of: root. */}}
{{- define "dragonfly.runtimeDirs" -}}
{{- $dirs := list -}}
{{- range fromYamlArray (include "dragonfly.runtimes" .) -}}
{{- $dirs = append $dirs (dir .file) -}}
{{- end -}}
{{- $all := list -}}
{{- range uniq $dirs -}}
{{- $all = append $all (dict "name" (. | trimPrefix "/" | replace "/" "-" | replace "." "-") "dir" .) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}
