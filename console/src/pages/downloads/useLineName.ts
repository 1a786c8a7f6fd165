import { useTranslation } from 'react-i18next';
import { en } from '@/i18n/en';
import type { Line } from './waterfall';

const NAMES = en.downloads.names;

/** Names lines for people; a span of another program keeps the name that it has there. */
export function useLineName(): (line: Line) => string {
  const { t } = useTranslation();
  return (line) => {
    if (line.kind === 'piece') {
      const { number, source } = line.piece;
      return t(`downloads.pieceFrom.${source}`, { number });
    }
    const name = line.span.operationName;
    return isKnown(name) ? t(`downloads.names.${name}`) : name;
  };
}

function isKnown(name: string): name is keyof typeof NAMES {
  return Object.hasOwn(NAMES, name);
}
