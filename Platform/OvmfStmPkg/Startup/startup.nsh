@echo -off
LabScript.efi
