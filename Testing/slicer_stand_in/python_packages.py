"""The Python packages of Slicer that slicer-core lacks: i18n, packaging, parameterNodeWrapper, SampleData."""

import sys
import types

import slicer

from .parameter_node_wrapper import parameterNodeWrapper

#: Names that this file puts into sys.modules.
INSTALLED = ("slicer.i18n", "slicer.packaging", "slicer.parameterNodeWrapper", "SampleData")


class PipRecord:
    """What the product asked pip to do; nothing is ever installed by a test."""

    def __init__(self):
        self.requests = []

    def pip_install(self, requirements, **options):
        self.requests.append(("install", requirements, options))

    def pip_uninstall(self, requirements, **options):
        self.requests.append(("uninstall", requirements, options))

    def pip_ensure(self, requirements, **options):
        self.requests.append(("ensure", requirements, options))


def i18n_module():
    """`tr` and `translate` that return their text, as Slicer does in English."""
    module = types.ModuleType("slicer.i18n")
    module.tr = lambda text: _checked_text(text)
    module.translate = lambda context, text: _checked_text(text)
    module.getContext = lambda path: path
    return module


def _checked_text(text):
    if not isinstance(text, str):
        raise TypeError(f"a translated text must be a str, not {type(text).__name__}")
    return text


def packaging_module(record):
    module = types.ModuleType("slicer.packaging")
    module.pip_install = record.pip_install
    module.pip_uninstall = record.pip_uninstall
    module.pip_ensure = record.pip_ensure
    return module


def sample_data_module():
    """SampleData with a registry; `sources` keeps the keyword arguments of every registration in order."""
    module = types.ModuleType("SampleData")

    class SampleDataLogic:
        sources = []

        @staticmethod
        def registerCustomSampleDataSource(
            category="Custom",
            sampleName=None,
            uris=None,
            fileNames=None,
            nodeNames=None,
            customDownloader=None,
            thumbnailFileName=None,
            loadFileType="VolumeFile",
            loadFiles=None,
            loadFileProperties=None,
            checksums=None,
        ):
            SampleDataLogic.sources.append(dict(locals()))

    module.SampleDataLogic = SampleDataLogic
    return module


def install(session):
    """Put the packages into sys.modules; the session gets `pip` (PipRecord) and `sample_data` (the sources)."""
    session.pip = PipRecord()
    sample_data = sample_data_module()
    session.sample_data = sample_data.SampleDataLogic.sources
    sys.modules["slicer.i18n"] = slicer.i18n = i18n_module()
    sys.modules["slicer.packaging"] = slicer.packaging = packaging_module(session.pip)
    wrapper = types.ModuleType("slicer.parameterNodeWrapper")
    wrapper.parameterNodeWrapper = parameterNodeWrapper
    sys.modules["slicer.parameterNodeWrapper"] = wrapper
    slicer.parameterNodeWrapper = wrapper
    sys.modules["SampleData"] = sample_data
    slicer.modules.sampledata = types.SimpleNamespace(name="SampleData", title="Sample Data")
    # The real one runs PythonSlicer, which does not exist here.
    slicer.util.pip_install = session.pip.pip_install
    slicer.util.pip_uninstall = session.pip.pip_uninstall


def uninstall():
    for name in INSTALLED:
        sys.modules.pop(name, None)
