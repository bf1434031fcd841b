//! The doors: protocols in which other systems send records. `doors` implements them.

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// OTLP over HTTP.
    Otlp,
    /// The HTTP Event Collector of Splunk.
    Hec,
    /// The bulk API of Elasticsearch.
    Bulk,
    /// The audit webhook of Kubernetes.
    Kubernetes,
    /// `CloudEvents` over HTTP.
    CloudEvents,
    /// Notifications of a container registry.
    Registry,
    /// syslog, on listeners of its own.
    Syslog,
}

impl Door {
    /// All doors.
    pub const ALL: [Self; 7] =
        [Self::Otlp, Self::Hec, Self::Bulk, Self::Kubernetes, Self::CloudEvents, Self::Registry, Self::Syslog];

    /// The name of the door in the configuration, in metrics, and in events that arrive by it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::Hec => "hec",
            Self::Bulk => "bulk",
            Self::Kubernetes => "kubernetes",
            Self::CloudEvents => "cloudevents",
            Self::Registry => "registry",
            Self::Syslog => "syslog",
        }
    }

    /// The preset that maps its records, unless the sender's credential has another one.
    pub const fn preset(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::Hec => "hec",
            Self::Bulk => "ecs",
            Self::Kubernetes => "kubernetes",
            Self::CloudEvents => "cloudevents",
            Self::Registry => "docker-registry",
            Self::Syslog => "syslog",
        }
    }
}
