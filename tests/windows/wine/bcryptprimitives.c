/*
 * Windows 10 has bcryptprimitives.dll, Wine 8 does not. Programs written in Rust load the library for its one function
 * ProcessPrng, which fills a buffer with random bytes. advapi32's RtlGenRandom, exported as SystemFunction036, does the same.
 */
#include <windows.h>

extern BOOLEAN WINAPI SystemFunction036(void *buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(unsigned char *buffer, SIZE_T length)
{
	const SIZE_T most = 0x10000000;

	while (length > 0) {
		ULONG piece = (ULONG)(length < most ? length : most);
		if (!SystemFunction036(buffer, piece))
			return FALSE;
		buffer += piece;
		length -= piece;
	}
	return TRUE;
}
