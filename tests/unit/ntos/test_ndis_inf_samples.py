"""INF files as the WDK's network samples write them: every construct of theirs, in texts of our own.

Read for the constructs: muxp.inf, mux_mp.inf, ndisprot60.inf, netlwf.inf (microsoft/Windows-driver-samples).
"""

from __future__ import annotations

import pytest

from ntos.netcfg.component import Characteristics, Component, ComponentClass, StartType, install, models
from ntos.netcfg.inf import Inf
from ntos.netcfg.registry import EVENT_LOG, SERVICES, Registry

TWO_EDGES_BELOW = rb"""; a protocol with virtual cards: NT$ARCH$ as before stamping, ".," in section names
[Version]
Signature   = "$Windows NT$"
Class       = NetTrans
ClassGUID   = {4D36E975-E325-11CE-BFC1-08002BE10318}
CatalogFile = weave.cat
Provider    = %Who%
DriverVer   =11/22/2026,1.0.0.0
PnpLockdown = 1
[Manufacturer]
%Who% = Weavers,NT$ARCH$,,NT$ARCH$.10.0...25286

[Weavers.,NT$ARCH$.10.0...25286]
%Weave_Desc% = Weave.store, RW_WEAVE
[Weavers.,NT$ARCH$]
%Weave_Desc% = Weave.old, RW_WEAVE

[Weave.store]
AddReg          = Weave.reg
Characteristics = 0x80 ; NCF_HAS_UI
copyfiles       = Weave.dll.files, Weave.sys.files
CopyInf	        = weave_card.inf
[Weave.old]
AddReg          = Weave.reg
Characteristics = 0x80

[SourceDisksNames]
1=%Disk%,"",,
[SourceDisksFiles]
weave.sys     = 1
[DestinationDirs]
DefaultDestDir  = 13
Weave.sys.files = 13	;a tab before this
[Weave.sys.files]
weave.sys,,,2

[Weave.reg]
HKR, Ndi,            ClsID,         0, {11111111-2222-3333-4444-555555555555}
HKR, Ndi,            ComponentDll,   , weave.dll
HKR, Ndi,            HelpText,      0,          "%Weave_Help%"
HKR, Ndi,            Service,       0,          "Weave"
HKR, Ndi\Interfaces, UpperRange,    0,          "noupper"
HKR, Ndi\Interfaces, LowerRange,    0,          "ndis5"
[Weave.store.Services]
AddService = Weave, , Weave.service, Weave.log
[Weave.old.Services]
AddService = Weave_old, , Weave.service, Weave.log
[Weave.service]
DisplayName     = %Weave_Desc%
ServiceType     = 1 ;SERVICE_KERNEL_DRIVER
StartType       = 3 ;SERVICE_DEMAND_START
ErrorControl    = 1
ServiceBinary   = %13%\weave.sys
[Weave.log]
AddReg = Weave.log.reg
[Weave.log.reg]
HKR, , EventMessageFile, 0x20000, "%%SystemRoot%%\System32\netevent.dll"
HKR, , TypesSupported,   0x10001, 7
[Strings]
Who = "Ringwalk"
Weave_Desc = "Weaving protocol"
Weave_Help="Weaves"
Disk = "Disk"
"""
VIRTUAL_CARD = rb"""[Version]
Signature 	= "$Windows NT$"
Class 		= Net
Provider 	= %Who%
[ControlFlags]
ExcludeFromSelect = RW_WEAVE_CARD

[Manufacturer]
%Who% = Weavers,NTamd64.10.0...25286,NTx86,NTia64,NTamd64
[Weavers.NTamd64.10.0...25286]
%Desc% = Card.ndi, RW_WEAVE_CARD
[Weavers.NTx86]
%Desc% = Card_old.ndi, RW_WEAVE_CARD
[Weavers.NTamd64]
%Desc% = Card_old.ndi, RW_WEAVE_CARD
[Card.ndi]
AddReg  = Card.reg
Characteristics = 0xA1 ;NCF_NOT_USER_REMOVABLE | NCF_VIRTUAL | NCF_HAS_UI
*IfType         = 6             ; IF_TYPE_ETHERNET_CSMACD
*MediaType      = 0             ; NdisMedium802_3
[Card.reg]
HKR, Ndi, Service,  0,  WEAVECARD
HKR, Ndi\Interfaces,    UpperRange, 0,  "ndis5"
HKR, Ndi\Interfaces,    LowerRange, 0,  "ethernet"
HKR, Ndi\params\VlanID,     ParamDesc,       0, %VlanID%
HKR, Ndi\params\VlanID,     max,             0, "4095"
HKR, Ndi\params\VlanID,     ParamDesc,       0, %VlanID%
[Card.ndi.Services]
AddService = WEAVECARD, 2, Card.service
[Card.service]
ServiceType     = 1
StartType       = 3
ServiceBinary   = %13%\weave.sys
[Strings]
Who = "Ringwalk"
Desc = "Woven card"
VlanID = "VLAN ID"
"""
PROTOCOL = rb""";---------------------------------
[version]
Signature   = "$Windows NT$"
Class       = NetTrans
[Manufacturer]
%Who%=Standard,NTamd64.10.0...99999,NTx86,NTia64,NTamd64
[Standard.NTamd64.10.0...99999]
%Desc%=Future, RW_PROT
[Standard.NTamd64]
%Desc%=Install_NC, RW_PROT
[Future]
Characteristics=0x0 ;
[Install_NC]
AddReg=Inst_Ndi
Characteristics=0x0 ;
CopyFiles=CpyFiles_Sys_NC
[Inst_Ndi]
HKR,Ndi,Service,,"Rwprot"
HKR,Ndi\Interfaces, UpperRange,, noupper
HKR,"Ndi\Interfaces","LowerRange",,"ndis5,ndis4,ndis5_prot"
[Install_NC.Services]
AddService=Rwprot60,,Service_Inst
[Service_Inst]
StartType       = 3 ;SERVICE_DEMAND_START
ServiceBinary   = %12%\rwprot60.sys
[Install_NC.Remove.Services]
DelService=Rwprot60,0x200
[CpyFiles_Sys_NC]
Rwprot60.sys,,,2
[Strings]
Who = "Ringwalk"
Desc = "A protocol"
"""
FILTER = rb"""[version]
Signature       = "$Windows NT$"
Class           = NetService
Provider        = %Who%

[Manufacturer]
%Who%=Standard,NTx86,NTia64,NTamd64.10.0,NTamd64.10.0...25286
[Standard.NTx86]
%Desc%=Install, RW_Lwf
[Standard.NTamd64.10.0]
%Desc%=Install, RW_Lwf
[Standard.NTamd64.10.0...25286]
%Desc%=Install_update, RW_Lwf
[Install_Update]
AddReg=Inst_Ndi
Characteristics=0x40000
NetCfgInstanceId="{aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee}"
Copyfiles = lwf.copyfiles
[Inst_Ndi]
HKR, Ndi,Service,,"RwLwf"
HKR, Ndi,CoServices,0x00010000,"RwLwf"
HKR, Ndi,FilterClass,, compression
HKR, Ndi,FilterType,0x00010001,2
HKR, Ndi\Interfaces,UpperRange,,"noupper"
HKR, Ndi\Interfaces,LowerRange,,"nolower"
HKR, Ndi\Interfaces, FilterMediaTypes,,"ethernet, wan, ppip"
HKR, Ndi,FilterRunType,0x00010001, 1 ; Mandatory filter
[Install_Update.Services]
AddService=RwLwf,,Service_Update ; SPSVCINST_STARTSERVICE is 0x800
[Service_Update]
StartType       = 1 ;SERVICE_SYSTEM_START
ServiceBinary   = %13%\rwlwf.sys
LoadOrderGroup  = NDIS
AddReg          = Options.reg
[Options.reg]
HKR, Parameters, NdisImPlatformBindingOptions,0x00010001,3 ; a comment
[Install_Update.Remove.Services]
DelService=RwLwf,0x200 ; SPSVCINST_STOPSERVICE
[Strings]
Who = "Ringwalk"
Desc = "A filter"




"""


def installed(raw: bytes, identifier: str) -> tuple[Component, Registry]:
    """Install one model of a text into a new registry."""
    registry = Registry()
    return install(Inf.parse(raw), registry, identifier), registry


def test_a_mux_protocol_is_installed_from_the_section_of_our_release() -> None:
    """With its class object, its service, and the service's event source."""
    component, registry = installed(TWO_EDGES_BELOW, "RW_WEAVE")

    assert (component.kind, component.description) == (ComponentClass.TRANSPORT, "Weaving protocol")
    assert (component.upper, component.lower) == (frozenset(), frozenset({"ndis5"}))
    assert component.notify_class == "{11111111-2222-3333-4444-555555555555}"
    assert [(s.name, s.start, s.binary) for s in component.services] == [
        ("Weave", StartType.DEMAND, r"%13%\weave.sys")
    ]
    assert registry.get(EVENT_LOG + r"\Weave", "EventMessageFile") == r"%SystemRoot%\System32\netevent.dll"
    assert registry.get(EVENT_LOG + r"\Weave", "TypesSupported") == 7


@pytest.mark.parametrize(
    ("release", "section"), [((10, 0, 19045), "Weave.old"), ((10, 0, 25286), "Weave.store")]
)
def test_the_release_decides_between_a_maker_s_sections(release: tuple[int, int, int], section: str) -> None:
    """The newest that is not newer than the system."""
    found = models(Inf.parse(TWO_EDGES_BELOW), release=release)

    assert [row[1] for row in found] == [section]


def test_a_virtual_card_has_its_parameters() -> None:
    """A value that is written twice is one; keywords with a star do not disturb."""
    component, registry = installed(VIRTUAL_CARD, "RW_WEAVE_CARD")

    wanted = Characteristics.NOT_USER_REMOVABLE | Characteristics.VIRTUAL | Characteristics.HAS_UI
    base = r"SYSTEM\CurrentControlSet\Control\Class\net\WEAVECARD\Ndi\params\VlanID"
    assert (component.kind, component.characteristics) == (ComponentClass.NET, wanted)
    assert (component.upper, component.lower) == (frozenset({"ndis5"}), frozenset({"ethernet"}))
    assert (registry.get(base, "ParamDesc"), registry.get(base, "max")) == ("VLAN ID", "4095")


def test_a_protocol_of_three_lower_ranges_passes_over_a_section_for_the_future() -> None:
    """Quoted keys, unquoted values, spaces behind the section's name."""
    component, registry = installed(PROTOCOL, "RW_PROT")

    assert component.lower == {"ndis5", "ndis4", "ndis5_prot"}
    assert (component.service, component.services[0].name) == ("Rwprot", "Rwprot60")
    assert registry.get(SERVICES + r"\Rwprot60", "ImagePath") == r"%12%\rwprot60.sys"


def test_a_filter_has_media_class_and_the_values_of_its_service() -> None:
    """Section names compare without case, between Install_update and Install_Update too."""
    component, registry = installed(FILTER, "RW_Lwf")

    base = r"SYSTEM\CurrentControlSet\Control\Network\netservice\RwLwf\Ndi"
    assert component.characteristics is Characteristics.LW_FILTER
    assert component.media == {"ethernet", "wan", "ppip"}
    assert registry.get(base, "FilterRunType") == 1
    assert registry.get(base, "CoServices") == ("RwLwf",)
    assert registry.get(SERVICES + r"\RwLwf\Parameters", "NdisImPlatformBindingOptions") == 3
    assert registry.get(SERVICES + r"\RwLwf", "Group") == "NDIS"
