{{/* Labels of every object. */}}
{{- define "fairlead.labels" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/part-of: fairlead
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The image of a component: (dict "root" $ "name" "speaker"). */}}
{{- define "fairlead.image" -}}
{{- $c := index .root.Values .name -}}
{{- $name := default (printf "%s/%s" .root.Values.image.registry .name) $c.image.repository -}}
{{- $tag := default .root.Chart.AppVersion .root.Values.image.tag -}}
{{- if $c.image.digest -}}{{ $name }}:{{ $tag }}@{{ $c.image.digest }}{{- else -}}{{ $name }}:{{ $tag }}{{- end -}}
{{- end }}

{{/* The flags of a component, as a JSON list. */}}
{{- define "fairlead.args" -}}
{{- $args := list (printf "--log-level=%s" .root.Values.logLevel) -}}
{{- with .root.Values.loadBalancerClass }}{{ $args = append $args (printf "--load-balancer-class=%s" .) }}{{ end -}}
{{- if not .root.Values.classless }}{{ $args = append $args "--classless=false" }}{{ end -}}
{{- if .root.Values.prometheus.certificateSecret }}{{ $args = append $args "--metrics-cert-dir=/certificates" }}{{ end -}}
{{- if eq .name "controller" }}
{{- if not .root.Values.controller.markLostNodes }}{{ $args = append $args "--mark-lost-nodes=false" }}{{ end -}}
{{- with .root.Values.controller.rebalanceAfter }}{{ $args = append $args (printf "--rebalance-after=%s" .) }}{{ end -}}
{{- end }}
{{- if eq .name "speaker" }}
{{- if .root.Values.speaker.ignoreExcludeLB }}{{ $args = append $args "--ignore-exclude-lb" }}{{ end -}}
{{- if .root.Values.speaker.answerPing }}{{ $args = append $args "--answer-ping" }}{{ end -}}
{{- with .root.Values.speaker.keepConnectionsFor }}{{ $args = append $args (printf "--keep-connections-for=%s" .) }}{{ end -}}
{{- if .root.Values.speaker.yieldCordoned }}{{ $args = append $args "--yield-cordoned" }}{{ end -}}
{{- end }}
{{- concat $args (index .root.Values .name).extraArgs | toJson -}}
{{- end }}

{{/* What both kinds of pods have in common, but for the container. */}}
{{- define "fairlead.pod" -}}
{{- $c := index .root.Values .name -}}
serviceAccountName: {{ $c.serviceAccount.name }}
{{- with $c.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: 10
{{- with $c.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $c.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $c.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.prometheus.certificateSecret }}
volumes:
- name: certificates
  secret:
    secretName: {{ . }}
{{- end }}
{{- end }}

{{/* What the container of a component mounts. */}}
{{- define "fairlead.mounts" -}}
{{- if .Values.prometheus.certificateSecret }}
volumeMounts:
- name: certificates
  mountPath: /certificates
  readOnly: true
{{- end }}
{{- end }}

{{/* Metadata of the pods of a component. */}}
{{- define "fairlead.podMetadata" -}}
{{- $c := index .root.Values .name -}}
labels:
  app.kubernetes.io/name: fairlead
  app.kubernetes.io/component: {{ .name }}
  app.kubernetes.io/part-of: fairlead
  {{- with $c.podLabels }}{{ toYaml . | nindent 2 }}{{ end }}
{{- with $c.podAnnotations }}
annotations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The pods of a component. */}}
{{- define "fairlead.selector" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/component: {{ . }}
{{- end }}
