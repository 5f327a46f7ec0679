/** @file
  Words of the command: steps in text.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"

#define WORD_LENGTH  160
#define TERM_LENGTH  24

STATIC CONST CHAR8  mHandlerPrefix[] = "smm.";
STATIC CONST CHAR8  mAlonePrefix[]   = "alone.";

STATIC CONST ATTACK_OPERATION  mOperations[] = {
  { "read",        StmStepRead,         2, NULL               },
  { "write",       StmStepWrite,        3, NULL               },
  { "rdmsr",       StmStepReadMsr,      1, NULL               },
  { "wrmsr",       StmStepWriteMsr,     2, NULL               },
  { "in",          StmStepIn,           2, NULL               },
  { "out",         StmStepOut,          3, NULL               },
  { "rdcr",        StmStepReadControl,  1, NULL               },
  { "wrcr",        StmStepWriteControl, 2, NULL               },
  { "rddr",        StmStepReadDebug,    1, NULL               },
  { "wrdr",        StmStepWriteDebug,   2, NULL               },
  { "flags",       StmStepFlags,        0, NULL               },
  { "ins",         StmStepInString,     3, NULL               },
  { "outs",        StmStepOutString,    3, NULL               },
  { "copy",        StmStepCopy,         3, NULL               },
  { "call",        StmStepCall,         1, NULL               },
  { "vmcall",      StmStepVmcall,       4, NULL               },
  { "vmxon",       StmStepVmxon,        1, NULL               },
  { "vmxoff",      StmStepVmxoff,       0, NULL               },
  { "vmclear",     StmStepVmclear,      1, NULL               },
  { "vmptrld",     StmStepVmptrld,      1, NULL               },
  { "vmread",      StmStepVmread,       1, NULL               },
  { "vmwrite",     StmStepVmwrite,      2, NULL               },
  { "saved",       StmStepReadSaved,    2, NULL               },
  { "save",        StmStepWriteSaved,   3, NULL               },
  { "redirect",    StmStepRedirect,     3, NULL               },
  { "catch",       StmStepCatch,        0, NULL               },
  { "dev.read",    StmStepNone,         2, AttackDeviceRead   },
  { "dev.write",   StmStepNone,         3, AttackDeviceWrite  },
  { "dev.later",   StmStepNone,         3, AttackDeviceLater  },
  { "fwcfg.write", StmStepNone,         1, AttackFwCfgWrite   },
  { "protect",     StmStepNone,         2, AttackProtect      },
  { "protect-io",  StmStepNone,         2, AttackProtectPorts },
  { "protect-msr", StmStepNone,         1, AttackProtectMsr   },
  { "protect-pci", StmStepNone,         3, AttackProtectPci   },
  { "protect-cpu", StmStepNone,         2, AttackProtectFrom  },
  { "watch",       StmStepWatch,        2, NULL               },
  { "use",         StmStepUse,          3, NULL               },
  { "race",        StmStepNone,         2, AttackRace         },
  { "swap",        StmStepNone,         4, AttackSwap         },
  { "calm",        StmStepNone,         0, AttackCalm         },
  { "smi",         StmStepNone,         0, AttackRaiseSmi     }
};

/**
  Whether a character ends a term.

  @param[in] Character  The character.

  @retval TRUE   It does.
  @retval FALSE  It belongs to the term.
**/
STATIC
BOOLEAN
EndsTerm (
  IN CHAR8  Character
  )
{
  return (BOOLEAN)((Character == '\0') || (Character == ':') || (Character == '+') || (Character == '-') ||
                   (Character == '!') || (Character == '&'));
}

/**
  Take characters up to the end of a term.

  @param[in,out] Text  Where it begins; gets where it ends.
  @param[out]    Term  TERM_LENGTH bytes.
**/
STATIC
VOID
TakeTerm (
  IN OUT CONST CHAR8  **Text,
  OUT    CHAR8        *Term
  )
{
  UINTN  Used;

  for (Used = 0; !EndsTerm (**Text); (*Text)++) {
    if (Used + 1 < TERM_LENGTH) {
      Term[Used++] = **Text;
    }
  }

  Term[Used] = '\0';
}

/**
  What a term stands for: $LABEL, the name of an address, or a hexadecimal number.

  @param[in]  Term   The term.
  @param[in]  Done   Words carried out.
  @param[in]  Count  How many.
  @param[out] Value  What it stands for.

  @retval TRUE   Found.
  @retval FALSE  It stands for nothing.
**/
STATIC
BOOLEAN
ReadTerm (
  IN  CONST CHAR8        *Term,
  IN  CONST ATTACK_WORD  *Done,
  IN  UINTN              Count,
  OUT UINT64             *Value
  )
{
  CHAR8  *End;

  if (Term[0] == '$') {
    while (Count-- > 0) {
      if (AsciiStrCmp (Done[Count].Label, Term + 1) == 0) {
        *Value = Done[Count].Step.Value;
        return TRUE;
      }
    }

    return FALSE;
  }

  return (BOOLEAN)(AttackFindAddress (Term, Value) ||
                   (!RETURN_ERROR (AsciiStrHexToUint64S (Term, &End, Value)) && (*End == '\0') && (End != Term)));
}

/**
  An argument: terms, joined by + - ! & from left to right. ! is an exclusive OR.

  @param[in,out] Text   Where it begins; gets where it ends.
  @param[in]     Done   Words carried out.
  @param[in]     Count  How many.
  @param[out]    Value  What it stands for.

  @retval TRUE   Found.
  @retval FALSE  A term stands for nothing.
**/
STATIC
BOOLEAN
ReadArgument (
  IN OUT CONST CHAR8        **Text,
  IN     CONST ATTACK_WORD  *Done,
  IN     UINTN              Count,
  OUT    UINT64             *Value
  )
{
  CHAR8   Term[TERM_LENGTH];
  CHAR8   Join;
  UINT64  Next;

  *Value = 0;
  Join   = '+';
  for ( ; ; ) {
    TakeTerm (Text, Term);
    if (!ReadTerm (Term, Done, Count, &Next)) {
      return FALSE;
    }

    switch (Join) {
      case '-':
        *Value -= Next;
        break;
      case '!':
        *Value ^= Next;
        break;
      case '&':
        *Value &= Next;
        break;
      default:
        *Value += Next;
        break;
    }

    Join = **Text;
    if ((Join == '\0') || (Join == ':')) {
      return TRUE;
    }

    (*Text)++;
  }
}

/**
  Take the label off a word.

  @param[in,out] Text  The word; gets what is behind the label.
  @param[out]    Word  Gets the label.

  @retval TRUE   Done.
  @retval FALSE  The label is too long.
**/
STATIC
BOOLEAN
TakeLabel (
  IN OUT CONST CHAR8  **Text,
  OUT    ATTACK_WORD  *Word
  )
{
  UINTN  Length;

  for (Length = 0; ((*Text)[Length] != '\0') && ((*Text)[Length] != '='); Length++) {
  }

  if ((*Text)[Length] == '\0') {
    Word->Label[0] = '-';
    Word->Label[1] = '\0';
    return TRUE;
  }

  if (Length >= ATTACK_LABEL_LENGTH) {
    return FALSE;
  }

  CopyMem (Word->Label, *Text, Length);
  Word->Label[Length] = '\0';
  *Text              += Length + 1;
  return TRUE;
}

/**
  Find the operation that a word names.

  @param[in,out] Text  The word; gets what is behind the name.

  @return The operation, or NULL.
**/
STATIC
CONST ATTACK_OPERATION *
TakeOperation (
  IN OUT CONST CHAR8  **Text
  )
{
  UINTN  Length;
  UINTN  Index;

  for (Length = 0; ((*Text)[Length] != '\0') && ((*Text)[Length] != ':'); Length++) {
  }

  for (Index = 0; Index < ARRAY_SIZE (mOperations); Index++) {
    if ((AsciiStrLen (mOperations[Index].Name) == Length) &&
        (AsciiStrnCmp (mOperations[Index].Name, *Text, Length) == 0))
    {
      *Text += Length;
      return &mOperations[Index];
    }
  }

  return NULL;
}

/**
  Read a word: [LABEL=][smm.|alone.]OPERATION[:ARGUMENT...].

  @param[in]  Text  The word.
  @param[in]  Done  Words carried out, to whose values $LABEL refers.
  @param[in]  Count How many.
  @param[out] Word  What it says.

  @retval TRUE   Read.
  @retval FALSE  It is no such word.
**/
BOOLEAN
AttackReadWord (
  IN  CONST CHAR16       *Text,
  IN  CONST ATTACK_WORD  *Done,
  IN  UINTN              Count,
  OUT ATTACK_WORD        *Word
  )
{
  CHAR8        Ascii[WORD_LENGTH];
  CONST CHAR8  *Rest;
  UINTN        Index;

  ZeroMem (Word, sizeof (*Word));
  Rest = Ascii;
  if (RETURN_ERROR (UnicodeStrToAsciiStrS (Text, Ascii, sizeof (Ascii))) || !TakeLabel (&Rest, Word)) {
    return FALSE;
  }

  if (AsciiStrnCmp (Rest, mHandlerPrefix, sizeof (mHandlerPrefix) - 1) == 0) {
    Rest       += sizeof (mHandlerPrefix) - 1;
    Word->Actor = AttackByHandler;
  } else if (AsciiStrnCmp (Rest, mAlonePrefix, sizeof (mAlonePrefix) - 1) == 0) {
    Rest       += sizeof (mAlonePrefix) - 1;
    Word->Actor = AttackByHandlerAlone;
  }

  Word->Operation = TakeOperation (&Rest);
  if (Word->Operation == NULL) {
    return FALSE;
  }

  if (Word->Operation->Routine != NULL) {
    Word->Actor = AttackByTool;
  }

  Word->Step.Kind = Word->Operation->Kind;
  for (Index = 0; Index < Word->Operation->Arguments; Index++) {
    if (*Rest != ':') {
      return FALSE;
    }

    Rest++;
    if (!ReadArgument (&Rest, Done, Count, &Word->Step.Argument[Index])) {
      return FALSE;
    }
  }

  return (BOOLEAN)(*Rest == '\0');
}
