"""The artifact store that the settings name."""

from platform_api.artifacts.object_store import ArtifactsAddressError, ObjectArtifacts, open_artifacts
from platform_api.settings import Settings, SettingsError


def artifacts_of(settings: Settings) -> ObjectArtifacts:
    """Of the section `artifacts`; without one, a folder of MODELBRIDGE_HOME.

    Raises:
        SettingsError: The section cannot be used.
    """
    section = settings.sections.artifacts
    url = section.url or (settings.home.absolute() / "artifacts").as_uri()
    try:
        return open_artifacts(url, {name: value.get_secret_value() for name, value in section.options.items()})
    except ArtifactsAddressError as error:
        raise SettingsError(str(error)) from error
